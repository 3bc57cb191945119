package diff

import "testing"

func TestBase(t *testing.T) {
	for _, tt := range []struct {
		name, base string
		numbered   bool
	}{
		{"plain", "plain", false},
		{"v4l2_x86", "v4l2_x86", false},
		{"count.12", "count.", true},
		{"f.isra.0.cold", "f.isra..cold", true},
		{"f.cold", "f.cold", false},
		{"__UNIQUE_ID_ddebug371.4", "__UNIQUE_ID_ddebug.", true},
		{"__UNIQUE_ID___addressable_start628", "__UNIQUE_ID___addressable_start", true},
		{"__BTF_ID__func__bpf_x__901", "__BTF_ID__func__bpf_x__", true},
		{"__initcall__kmod_veth__1026_2028_veth_init6", "__initcall__kmod_veth__veth_init6", true},
	} {
		if base, numbered := base(tt.name); base != tt.base || numbered != tt.numbered {
			t.Errorf("%s: got %s, %v, want %s, %v", tt.name, base, numbered, tt.base, tt.numbered)
		}
	}
}
