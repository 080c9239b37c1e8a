package main

import (
	"bytes"
	"fmt"
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

// TestLongTable checks that a table is printed while it grows, and that its rows stay aligned if later cells are wider.
func TestLongTable(t *testing.T) {
	var out bytes.Buffer
	tab := newTable(&out, "NAME", "SIZE")
	for i := range 3 * maxTableRows {
		tab.row(fmt.Sprint("n", i), "1")
	}
	if len(tab.rows) != 0 || out.Len() == 0 {
		t.Errorf("%d rows in memory and %d bytes printed; want no rows", len(tab.rows), out.Len())
	}
	tab.row("a longer name", "2")
	if err := tab.Flush(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range map[int]string{0: "NAME   SIZE", 1: "n0     1", maxTableRows + 1: "n4096  1", 3 * maxTableRows: "n12287  1", 3*maxTableRows + 1: "a longer name  2"} {
		if lines[i] != want {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
}
