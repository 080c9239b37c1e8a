package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"airmirror/mirror"
)

// printJSON prints v for programs, and for people to read.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table aligns rows; nothing is printed until Flush.
type table struct{ *tabwriter.Writer }

func newTable(out io.Writer, head ...string) table {
	t := table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	t.row(head...)
	return t
}

// row adds a row. The last cell is not padded.
func (t table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = mirror.Printable(cell)
	}
	fmt.Fprintln(t, strings.Join(cells, "\t"))
}

// size writes bytes for people.
func size(bytes int64) string { return humanize.IBytes(uint64(max(0, bytes))) }

// age writes how long ago something was.
func age(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return humanize.Time(t)
}

// count writes a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + many
}

// printed is what a command writes text to: names, platforms and what upstreams say come out of it as
// [mirror.PrintableWriter] has them.
type printed struct {
	mirror.PrintableWriter
	raw io.Writer
}

func newPrinted(raw io.Writer) *printed {
	return &printed{PrintableWriter: mirror.PrintableWriter{W: raw}, raw: raw}
}

// raw is what is below a writer of text, for what is none: bundles, backups, receipts.
func raw(w io.Writer) io.Writer {
	if p, ok := w.(*printed); ok {
		return p.raw
	}
	return w
}

// terminalOf returns the terminal that a writer leads to, if it leads to one.
func terminalOf(w io.Writer) (*os.File, bool) {
	file, ok := raw(w).(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}

// printText prints a line, whatever the words in it are.
func printText(out io.Writer, format string, args ...any) {
	fmt.Fprintln(out, mirror.Printable(fmt.Sprintf(format, args...)))
}
