package archtest

// stages orders the packages as the pipeline of docs/architecture.md does. A
// package imports packages of its own stage and of earlier ones. Names are
// below tools/internal unless they begin with another top folder; a name
// stands for the packages below it too, unless they have a row of their own.
var stages = [][]string{
	// Words and means: know nothing of what they are used for.
	{"arch", "diag", "outcome", "proc", "golden", "progress", "store", "yamlfile", "modsign", "kpatch-arm64", "qemu-tests"},
	// What is read or said, as data.
	{"result", "measure", "ktap", "splat", "git", "guest", "checkpatch"},
	{"base", "series"},
	{"tree"},
	{"kernel", "hotbuild"},
	{"machine", "image", "payload"},
	{"lab"},
	{"cases"},
	{"known", "hotsample", "bring"},
	{"run", "bench"},
	{"report", "plot"},
	{"github", "doctor", "manpage", "livepatch"},
	{"cli", "hotpatchcli", "archtest", "e2e"},
	{"tools/cmd"},
}

// strangers lists what a package must not know although the stages allow it.
var strangers = []struct {
	pkg   string
	never []string
	why   string
}{
	{"base", []string{"git", "ktap", "splat", "guest"}, "the base is files; it is got without git"},
	{"series", []string{"git", "proc", "ktap", "splat", "guest"}, "a series is applied in memory, by no program"},
	{"tree", []string{"ktap", "splat", "guest"}, "a tree is a history, not a thing that runs"},
	{"kernel", []string{"ktap", "splat", "guest"}, "a kernel is built the same whatever is done with it"},
	{"machine", []string{"base", "series", "tree", "kernel", "git", "ktap", "splat", "result", "guest"}, "a machine runs anything"},
	{"guest", []string{"git", "ktap", "splat", "known", "result", "checkpatch"}, "the wire carries bytes; the agent judges nothing"},
	{"image", []string{"base", "series", "tree", "kernel", "git", "ktap", "splat", "result"}, "an image is the same for every kernel and case"},
	{"lab", []string{"ktap", "splat", "known", "result"}, "a booted guest is not yet a test"},
	{"report", []string{"base", "series", "tree", "kernel", "machine", "image", "payload", "lab", "run", "guest"}, "a report is a function of a result"},
	{"github", []string{"run", "lab", "machine", "kernel", "guest"}, "what is published was reported"},
	{"livepatch", []string{"kernel", "hotbuild", "machine", "guest", "image", "payload", "lab", "cases", "run", "git", "series"}, "a host has nothing that kernels are built with"},
	{"hotbuild", []string{"base", "series", "tree", "git", "guest", "ktap", "splat", "result"}, "any built kernel will do, wherever it comes from"},
	{"kpatch-arm64", []string{"tools/internal"}, "the hotpatch compiler is a library: objects in, module out"},
}

// owners are the packages that may run programs, and the programs they own.
// They start them through proc, which sees to it that they die with us.
var owners = map[string]string{
	"proc":        "starts all of them",
	"base":        "apt-get, dpkg-deb, xz",
	"checkpatch":  "perl, for the kernel's own checkpatch.pl",
	"doctor":      "apt-get, sudo, and every tool for its version",
	"git":         "git",
	"guest/agent": "the guest's programs: it is PID 1 there",
	"image":       "apt-get, dpkg-deb, tar, mke2fs, go",
	"kernel":      "make, compilers",
	"machine":     "QEMU",
	"payload":     "make and compilers, for what runs in the guest",
	"hotbuild":    "make and compilers, for what a source patch touches",
	"e2e":         "kernlab itself",

	"kpatch-arm64/internal/cctest": "compilers, for tests alone",
}

// ways in which a program is run: import path and, if not the whole package,
// the names that matter.
var ways = []struct {
	path  string
	names []string // nil: any use
}{
	{"os/exec", nil},
	{"os", []string{"StartProcess"}},
	{"syscall", []string{"ForkExec", "StartProcess", "Exec"}},
	{"golang.org/x/sys/unix", []string{"Exec"}},
}

// starters are the packages that may use what proc is made of. All others ask
// proc for a command.
var starters = map[string]string{
	"proc":        "is where it is done",
	"guest/agent": "PID 1 reaps children itself, which os/exec would race with",

	"kpatch-arm64/internal/cctest": "knows nothing of tools/internal",
}

// forbidden are packages of Go that a package has no business with.
var forbidden = []struct {
	pkg, path, why string
}{
	{"kpatch-arm64", "net", "the hotpatch compiler needs no network"},
	{"kpatch-arm64", "net/http", "the hotpatch compiler needs no network"},
	{"series", "net/http", "patches are local files"},
	{"guest", "net/http", "the agent is small"},
}

const (
	maxFileLines = 800 // of one source file
	maxMainLines = 40  // of a command's main.go: the work is in packages
)

// longFiles are the source files above maxFileLines, and why.
var longFiles = map[string]string{}

// machinePaths finds absolute paths of one person's machine. What is meant for
// any machine is not below these.
const machinePaths = `(^|[^\w.~$/>])/(work|root|home/\w+)/\w`

// pathsAllowed are files that hold such paths, and why.
var pathsAllowed = map[string]string{
	"tools/internal/archtest/testdata/files.txtar": "a repository that breaks the rule",
	"tools/internal/archtest/testdata/good.txtar":  "has one where it does no harm",
}
