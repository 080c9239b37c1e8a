//go:build bench

package bench_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
)

// The lines of a page between which the table is.
const (
	tableBegins = "<!-- The table of make bench begins. -->\n"
	tableEnds   = "<!-- The table of make bench ends. -->\n"
)

// replaceTable replaces the table of a Markdown page by the result of this run.
func replaceTable(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(page, []byte(tableBegins))
	_, after, also := bytes.Cut(rest, []byte(tableEnds))
	if !ok || !also {
		return fmt.Errorf("%s lacks the lines %q and %q", path, tableBegins, tableEnds)
	}
	page = fmt.Appendf(nil, "%s%s\n%s\n%s%s", before, tableBegins, markdown(), tableEnds, after)
	return os.WriteFile(path, page, 0o644) //nolint:gosec // a page
}

// markdown returns the machine, the versions and the table.
func markdown() string {
	var out strings.Builder
	if quick {
		fmt.Fprintf(&out, "From `make bench-quick`: one to three rounds, and %d images instead of %d.\n\n", growQuick, growImages)
	}
	fmt.Fprintf(&out, "Machine: %s.\n\n", machine())
	fmt.Fprintf(&out, "Versions: mirror %s, distribution %s, nginx %s, %s.\n\n", version(mirrorBin, "--version"), version(registryBin, "--version"), version("nginx", "-v"), runtime.Version())
	fmt.Fprintln(&out, "| Work | mirror | Reference | Ratio | Goal | Resident | Anonymous | Notes |")
	fmt.Fprintln(&out, "| --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, r := range table {
		line := strings.Join(r.cells(), " | ")
		fmt.Fprintf(&out, "| %s |\n", indent.ReplaceAllString(line, "&ensp;"))
	}
	return out.String()
}

// indent begins the name of a row that belongs to the row above.
var indent = regexp.MustCompile("^  ")

// version returns the version in what a program prints.
func version(argv ...string) string {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return "not installed"
	}
	words := strings.FieldsFunc(strings.TrimSpace(string(out)), func(r rune) bool { return strings.ContainsRune(" /\n", r) })
	return words[len(words)-1]
}

func machine() string {
	cpu, total, kernel := "unknown processor", 0, ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if name := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(text); name != nil {
			cpu = string(name[1])
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, _ = fmt.Sscanf(string(text), "MemTotal: %d", &total)
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(text))
	}
	var stat syscall.Statfs_t
	_ = syscall.Statfs(scratch, &stat) // its type is then 0
	return fmt.Sprintf("%s, %d cores, %d GiB of memory, Linux %s, %s", cpu, runtime.NumCPU(), (total+1<<19)>>20, kernel, fileSystem(stat.Type))
}

func fileSystem(magic int64) string {
	for name, number := range map[string]int64{"ext4": 0xef53, "XFS": 0x58465342, "Btrfs": 0x9123683e, "overlayfs": 0x794c7630} {
		if magic == number {
			return name
		}
	}
	return fmt.Sprintf("file system %x", magic)
}
