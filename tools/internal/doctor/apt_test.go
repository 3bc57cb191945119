package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudkernel/tools/internal/outcome"
)

// aptMachine is a machine whose apt-get writes its arguments to a log and does
// what the script says.
func aptMachine(t *testing.T, uid int, scripts map[string]string) (log func() []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	t.Setenv("LOG", file)
	if scripts["env"] == "" {
		// Only assignments come before the program.
		scripts["env"] = `while case $1 in *=*) ;; *) false ;; esac; do export "$1"; shift; done; exec "$@"`
	}
	bin(t, scripts)
	geteuid = func() int { return uid }
	t.Cleanup(func() { geteuid = os.Geteuid })
	return func() []string {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil
		}
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
}

// logArgs makes a script log its name and the arguments that follow the options.
const logArgs = `
said=$DEBIAN_FRONTEND
while case $1 in -o) shift; shift; true ;; -q) shift; true ;; *) false ;; esac; do :; done
echo "${said:-asks}: ${0##*/} $*" >> $LOG
`

const policy = `
shift
for p; do
	echo "$p:"
	echo "  Installed: (none)"
	echo "  Candidate: $CANDIDATE"
done`

func TestInstall(t *testing.T) {
	lacking := &Report{Install: []string{"bc", "flex"}}
	install := "noninteractive: apt-get install -y --no-install-recommends bc flex"
	const updateLine = "noninteractive: apt-get update"
	tests := []struct {
		name      string
		candidate string
		uid       int
		scripts   map[string]string
		want      []string
		err       string
	}{
		{
			name: "one transaction", candidate: "1.0",
			scripts: map[string]string{"apt-get": logArgs, "apt-cache": policy},
			want:    []string{install},
		}, {
			name: "empty lists", candidate: "(none)",
			scripts: map[string]string{"apt-get": logArgs, "apt-cache": policy},
			want:    []string{updateLine, install},
		}, {
			name: "lists from long ago", candidate: "1.0",
			scripts: map[string]string{"apt-get": logArgs + `
				case $1 in update) echo > $LOG.fresh ;; esac
				[ -e $LOG.fresh ] || { echo "E: Failed to fetch bc: 404"; exit 100; }`, "apt-cache": policy},
			want: []string{install, updateLine, install},
		}, {
			name: "an archive that cannot be reached", candidate: "(none)",
			scripts: map[string]string{"apt-get": logArgs + `echo "E: Could not resolve the archive" >&2; exit 100`, "apt-cache": policy},
			want:    []string{updateLine},
			err:     "update package lists: apt-get update: exit status 100\nE: Could not resolve the archive",
		}, {
			name: "a user with sudo", candidate: "1.0", uid: 1000,
			scripts: map[string]string{"apt-get": logArgs, "apt-cache": policy, "sudo": `echo "sudo $1" >> $LOG; [ "$1" = -v ] || exec "$@"`},
			want:    []string{"sudo -v", "sudo env", install},
		}, {
			name: "a user without", candidate: "1.0", uid: 1000,
			scripts: map[string]string{"apt-get": logArgs, "apt-cache": policy},
			err:     "installing needs root and there is no sudo: as root, run: apt-get install -y --no-install-recommends bc flex",
		}, {
			name:    "not Debian",
			scripts: map[string]string{},
			err:     "no apt-get here: install these by your distribution's means (names of Debian's packages): bc flex",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := aptMachine(t, tt.uid, tt.scripts)
			t.Setenv("CANDIDATE", tt.candidate)
			err := Install(t.Context(), t.Output(), lacking)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if err != nil && outcome.Of(err) != outcome.Infra {
				t.Errorf("outcome %s, want infra", outcome.Of(err))
			}
			if got := log(); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("ran\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestInstallNothing(t *testing.T) {
	log := aptMachine(t, 0, map[string]string{"apt-get": logArgs})
	if err := Install(t.Context(), t.Output(), &Report{}); err != nil || log() != nil {
		t.Errorf("error %v, ran %q; want nothing to happen", err, log())
	}
}

// TestInstallInterrupted ends the context while apt-get works: apt is asked to
// stop and waited for, not killed.
func TestInstallInterrupted(t *testing.T) {
	log := aptMachine(t, 0, map[string]string{"apt-cache": policy, "apt-get": logArgs + `
		trap 'echo tidied up >> $LOG; exit 1' INT
		echo > $LOG.running
		while :; do read x < $LOG.never; done`})
	t.Setenv("CANDIDATE", "1.0")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			if _, err := os.Stat(os.Getenv("LOG") + ".running"); err == nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	err := Install(ctx, t.Output(), &Report{Install: []string{"bc"}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if got := log(); len(got) != 2 || got[1] != "tidied up" {
		t.Errorf("log %q, want apt-get to tidy up before it ends", got)
	}
}
