package mirror

import (
	"os/exec"
	"strings"
	"testing"
)

// TestArrowsPointOneWay holds the map in the package comment: the domain imports none of its parts, and the parts do
// not import one another. One exception: api/admin and the packages below it import gc and those below sync. Requests and
// answers of the admin API are made of their types, its jobs call them, and outside api only cmd imports api/admin.
func TestArrowsPointOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "airmirror/...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	const module = "airmirror/"
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
		from, _, _ := strings.Cut(strings.TrimPrefix(pkg, module), "/")
		for _, imported := range strings.Fields(imports) {
			rest, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			to, _, _ := strings.Cut(rest, "/")
			runsJobs := strings.HasPrefix(pkg, module+"api/admin") && (to == "gc" || to == "sync")
			if from != "cmd" && to != "mirror" && to != from && !runsJobs {
				t.Errorf("%s imports %s", pkg, imported)
			}
			if from == "mirror" {
				t.Errorf("the domain imports %s", imported)
			}
		}
	}
}
