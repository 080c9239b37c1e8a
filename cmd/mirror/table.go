package main

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"airmirror/mirror"
)

// table aligns the cells of its rows. Flush prints it. On a terminal that is too narrow, the texts of the last column are
// wrapped, or the first cell of each row gets a line of its own. A cell without spaces, such as a digest, is never broken.
//
// A long table is printed while it grows: the first rows decide the widths of its columns.
type table struct {
	out    io.Writer
	width  int // of the terminal; 0 for another output, whose rows are one line each
	rows   [][]string
	layout *tableLayout // nil while no row was printed
}

// tableLayout is how the rows of a table are printed.
type tableLayout struct {
	out    *bufio.Writer
	widths []int
	own    int    // number of first cells that get a line of their own
	indent string // of the other cells
}

// maxTableRows is the number of rows that decide the widths of the columns.
const maxTableRows = 4096

// columnGap is the number of spaces between two columns.
const columnGap = 2

func newTable(out io.Writer, head ...string) *table {
	t := &table{out: out, width: widthOf(out)}
	t.row(head...)
	return t
}

// widthOf returns the width of the terminal that a writer writes to, or 0 if it is no terminal.
func widthOf(w io.Writer) int {
	file, ok := terminalOf(w)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// row adds a row.
func (t *table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = mirror.Printable(cell)
	}
	if t.layout != nil {
		t.print(cells)
		return
	}
	if t.rows = append(t.rows, cells); len(t.rows) == maxTableRows {
		t.printRows()
	}
}

// Flush prints the rows that were not printed yet.
func (t *table) Flush() error {
	if t.layout == nil {
		t.printRows()
	}
	return t.layout.out.Flush()
}

// printRows prints all rows, and decides how later ones are printed.
func (t *table) printRows() {
	t.layout = &tableLayout{out: bufio.NewWriter(t.out), widths: t.widths()}
	if l := t.layout; len(l.widths) > 2 && !t.fits(l.widths) {
		l.own, l.indent = 1, strings.Repeat(" ", columnGap)
	}
	for _, row := range t.rows {
		t.print(row)
	}
	t.rows = nil
}

// print prints a row. Flush returns an error of the output.
func (t *table) print(row []string) {
	l := t.layout
	for _, cell := range row[:l.own] {
		_, _ = l.out.WriteString(cell + "\n")
	}
	_, _ = l.out.WriteString(t.line(row[l.own:], l.widths[l.own:], l.indent) + "\n")
}

// minWrapped is the least width that the last column is wrapped at.
const minWrapped = 20

// fits reports whether a row fits in a line, if the last cell is wrapped.
func (t *table) fits(widths []int) bool {
	last := len(widths) - 1
	left := t.width
	for _, width := range widths[:last] {
		left -= width + columnGap
	}
	if t.width == 0 || widths[last] <= left {
		return true
	}
	for _, row := range t.rows {
		for word := range strings.FieldsSeq(row[len(row)-1]) {
			if utf8.RuneCountInString(word) > left {
				return false
			}
		}
	}
	return left >= minWrapped
}

// line returns the cells of a row, with the last one wrapped if it is too long.
func (t *table) line(cells []string, widths []int, indent string) string {
	var b strings.Builder
	b.WriteString(indent)
	last := len(cells) - 1
	for i, cell := range cells[:last] {
		b.WriteString(cell + strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell))+columnGap))
	}
	first := b.String()
	if n := utf8.RuneCountInString(first); t.width > 0 && n+utf8.RuneCountInString(cells[last]) > t.width {
		return wrapIndented(cells[last], first, strings.Repeat(" ", n), t.width)
	}
	return strings.TrimRight(first+cells[last], " ")
}

// widths returns the width of each column.
func (t *table) widths() []int {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}
