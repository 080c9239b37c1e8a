package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestTableFits80Columns prints the rows of a list at several widths. Digests and names are never broken.
func TestTableFits80Columns(t *testing.T) {
	const digest = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
	long := "registry.example.com/team/with/a/long/name:v1"
	print := func(width int, rows ...[]string) string {
		var out bytes.Buffer
		table := &table{out: &out, width: width}
		for _, row := range rows {
			table.row(row...)
		}
		must(t, table.Flush())
		return out.String()
	}
	rows := [][]string{{"IMAGE", "PLATFORM", "SIZE", "DIGEST"}, {long, "linux/amd64", "3.2 MiB", digest[:12]}, {"a:1", "-", "5 B", digest[:12]}}
	for _, tt := range []struct {
		what  string
		width int
		rows  [][]string
		want  string
	}{
		{"no terminal", 0, rows, `
IMAGE                                          PLATFORM     SIZE     DIGEST
registry.example.com/team/with/a/long/name:v1  linux/amd64  3.2 MiB  4f53cda18c2b
a:1                                            -            5 B      4f53cda18c2b
`},
		{"a narrow terminal", 60, rows, `
IMAGE
  PLATFORM     SIZE     DIGEST
registry.example.com/team/with/a/long/name:v1
  linux/amd64  3.2 MiB  4f53cda18c2b
a:1
  -            5 B      4f53cda18c2b
`},
		{"a long text", 40, [][]string{{"WANT", "REASON"}, {"a:1", "docker.io does not respond: the connection was refused"}}, `
WANT  REASON
a:1   docker.io does not respond: the
      connection was refused
`},
		{"a digest", 40, [][]string{{"bundle", digest}, {"size", "5 B"}}, `
bundle  ` + digest + `
size    5 B
`},
	} {
		if got := print(tt.width, tt.rows...); got != strings.TrimPrefix(tt.want, "\n") {
			t.Errorf("%s:\n%s\nwant:%s", tt.what, got, tt.want)
		}
	}
}
