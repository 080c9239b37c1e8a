package mirror

import (
	"os/exec"
	"strings"
	"testing"
)

// TestArrowsPointOneWay holds the map in the package comment: the domain imports none of its parts, and the parts do
// not import one another.
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
			if from != "cmd" && to != "mirror" && to != from {
				t.Errorf("%s imports %s", pkg, imported)
			}
			if from == "mirror" {
				t.Errorf("the domain imports %s", imported)
			}
		}
	}
}
