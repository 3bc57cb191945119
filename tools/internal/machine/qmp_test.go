package machine

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

// fakeQEMU answers requests as QEMU does, in an order of its own.
func fakeQEMU(t *testing.T, conn net.Conn) {
	fmt.Fprintln(conn, `{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}`)
	for sc := bufio.NewScanner(conn); sc.Scan(); {
		var id int
		_, rest, _ := strings.Cut(sc.Text(), `"id":`)
		fmt.Sscanf(rest, "%d", &id)
		switch {
		case strings.Contains(sc.Text(), `"qmp_capabilities"`):
			fmt.Fprintf(conn, `{"return": {}, "id": %d}`+"\n", id)
		case strings.Contains(sc.Text(), `"query-status"`):
			fmt.Fprintln(conn, `{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}, "timestamp": {}}`)
			fmt.Fprintf(conn, `{"return": {"status": "shutdown"}, "id": %d}`+"\n", id)
		case strings.Contains(sc.Text(), `"quit"`):
			conn.Close()
			return
		default:
			fmt.Fprintf(conn, `{"error": {"class": "CommandNotFound", "desc": "The command x has not been found"}, "id": %d}`+"\n", id)
		}
	}
}

func TestQMP(t *testing.T) {
	ours, theirs := net.Pipe()
	go fakeQEMU(t, theirs)
	q := newQMP(ours)
	out, err := q.execute("query-status", nil)
	if err != nil || !strings.Contains(string(out), "shutdown") {
		t.Errorf("query-status: %s, %v", out, err)
	}
	if q.reason() != "guest-reset" {
		t.Errorf("reason %q", q.reason())
	}
	if _, err := q.execute("x", map[string]int{"a": 1}); err == nil || !strings.Contains(err.Error(), "not been found") {
		t.Errorf("an unknown command: %v", err)
	}
	for range 2 {
		if _, err := q.execute("quit", nil); err == nil || !strings.Contains(err.Error(), "closed its control connection") {
			t.Errorf("after the end: %v", err)
		}
	}
}
