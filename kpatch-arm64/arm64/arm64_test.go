package arm64

import (
	"sync"
	"testing"
)

// Objects are compared side by side, and the decoder is not made for that.
func TestDisasmSideBySide(t *testing.T) {
	ret := []byte{0xc0, 0x03, 0x5f, 0xd6}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if text, n := (a64{}).Disasm(ret, 0); text != "ret" || n != 4 {
					t.Errorf("ret is %q, %d bytes", text, n)
				}
			}
		})
	}
	wg.Wait()
}
