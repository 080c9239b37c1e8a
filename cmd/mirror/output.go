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

// printJSON prints v as indented JSON.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table aligns the cells of its rows. Flush prints it.
type table struct{ *tabwriter.Writer }

func newTable(out io.Writer, head ...string) table {
	t := table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	t.row(head...)
	return t
}

// row adds a row.
func (t table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = mirror.Printable(cell)
	}
	fmt.Fprintln(t, strings.Join(cells, "\t"))
}

// size formats a number of bytes.
func size(bytes int64) string { return humanize.IBytes(uint64(max(0, bytes))) }

// age formats a time relative to now.
func age(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return humanize.Time(t)
}

// count formats a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + many
}

// printed is the output of a command. It escapes unprintable characters in names and in texts from upstreams, as
// [mirror.PrintableWriter] does.
type printed struct {
	mirror.PrintableWriter
	raw io.Writer
}

func newPrinted(raw io.Writer) *printed {
	return &printed{PrintableWriter: mirror.PrintableWriter{W: raw}, raw: raw}
}

// raw returns the writer below the output of a command, for bundles, backups and receipts.
func raw(w io.Writer) io.Writer {
	if p, ok := w.(*printed); ok {
		return p.raw
	}
	return w
}

// terminalOf returns the terminal that a writer writes to, if there is one.
func terminalOf(w io.Writer) (*os.File, bool) {
	file, ok := raw(w).(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}

// printText prints a line with unprintable characters escaped.
func printText(out io.Writer, format string, args ...any) {
	fmt.Fprintln(out, mirror.Printable(fmt.Sprintf(format, args...)))
}
