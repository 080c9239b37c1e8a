package main

import (
	"strings"
	"unicode/utf8"
)

// wrap wraps a text of paragraphs at a width. An indented line begins a line of its own. If it has two columns, as in a
// list of terms, its continuation is indented like the second one.
func wrap(text string, width int) string {
	var lines []string
	paragraph := ""
	flush := func() {
		if paragraph != "" {
			lines = append(lines, wrapIndented(paragraph, "", "", width))
		}
		paragraph = ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "":
			flush()
			lines = append(lines, "")
		case strings.HasPrefix(line, " "):
			flush()
			first := line[:secondColumn(line)]
			lines = append(lines, wrapIndented(line[len(first):], first, strings.Repeat(" ", len(first)), width))
		default:
			paragraph += line + " "
		}
	}
	flush()
	return strings.Join(lines, "\n")
}

// secondColumn returns where the second column of an indented line begins: behind two spaces or more.
func secondColumn(line string) int {
	indent := len(line) - len(strings.TrimLeft(line, " "))
	gap := strings.Index(line[indent:], "  ")
	if gap < 0 {
		return indent
	}
	rest := line[indent+gap:]
	return indent + gap + len(rest) - len(strings.TrimLeft(rest, " "))
}

// wrapIndented wraps the words of a text. The first line begins with first, and the others with rest. A word that is longer than
// a line is not broken.
func wrapIndented(text, first, rest string, width int) string {
	var b strings.Builder
	line, empty := first, true
	for word := range strings.FieldsSeq(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	return b.String() + strings.TrimRight(line, " ")
}
