package mirror

import (
	"os/exec"
	"strings"
	"testing"
)

// TestArrowsPointOneWay checks the map in the package comment. Package mirror imports no other package of the module, and
// its engine imports mirror alone. The other packages import mirror and packages of their own folder. Only cmd may import
// all of them. One exception: api/admin and the packages below it import gc and those below sync. Requests and answers of
// the admin API are made of their types, its jobs call them, and outside api only cmd imports api/admin.
func TestArrowsPointOneWay(t *testing.T) {
	const module, engine = "airmirror/", "airmirror/mirror/proxy"
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, module+"...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	folder := func(pkg string) string {
		if pkg == engine {
			return "mirror/proxy"
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(pkg, module), "/")
		return first
	}
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
		from := folder(pkg)
		for imported := range strings.FieldsSeq(imports) {
			if !strings.HasPrefix(imported, module) {
				continue
			}
			to := folder(imported)
			runsJobs := strings.HasPrefix(pkg, module+"api/admin") && (to == "gc" || to == "sync")
			if from != "cmd" && to != "mirror" && to != from && !runsJobs || from == "mirror" {
				t.Errorf("%s imports %s", pkg, imported)
			}
		}
	}
}
