package main

import (
	"strings"
	"unicode/utf8"
)

// barLine is the line of a progress bar: a label, the bar, the amounts, and what is being worked on.
type barLine struct {
	label       string
	done, total int64
	amounts     string
	current     string
}

// Widths of the parts of a line, in columns.
const (
	maxBar     = 30
	minBar     = 8  // a shorter bar is left out
	minCurrent = 16 // a name that would be shorter is left out
)

// fit returns the line for a terminal of a width. In a narrow one the bar becomes shorter first, and then the name of the
// current item, in its middle, because its end has the tag.
func (l barLine) fit(width int) string {
	line := l.amounts
	if l.label != "" {
		line = l.label + ", " + l.amounts
	}
	if n := utf8.RuneCountInString(line); n > width {
		return shorten(l.amounts, width)
	}
	left := width - utf8.RuneCountInString(line)
	wanted := 0
	if l.current != "" {
		wanted = utf8.RuneCountInString(l.current) + 2
	}
	bar := min(maxBar, left-3-wanted)
	if bar < minBar && left-3-minBar >= minCurrent+2 {
		bar = minBar
	}
	if bar >= minBar {
		line = l.bar(bar) + " " + line
		left -= bar + 3
	}
	if wanted > 0 && left-2 >= min(wanted-2, minCurrent) {
		line += "  " + shorten(l.current, left-2)
	}
	return line
}

// bar returns a bar of the given width between brackets.
func (l barLine) bar(width int) string {
	full := 0
	if l.total > 0 {
		full = int(min(l.done, l.total) * int64(width) / l.total)
	}
	if full == width || full == 0 {
		return "[" + strings.Repeat("=", full) + strings.Repeat("-", width-full) + "]"
	}
	return "[" + strings.Repeat("=", full-1) + ">" + strings.Repeat("-", width-full) + "]"
}

// shorten shortens a text in its middle to at most n columns.
func shorten(text string, n int) string {
	runes := []rune(text)
	switch {
	case len(runes) <= n:
		return text
	case n < 2:
		return string(runes[:max(0, n)])
	}
	front := (n - 1) / 2
	return string(runes[:front]) + "…" + string(runes[len(runes)-(n-1-front):])
}
