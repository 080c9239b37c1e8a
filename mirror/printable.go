package mirror

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Printable returns a text as one line that a terminal shows as it is: control characters, line ends included, and
// characters that change the direction or the look of what is around them are written as JSON writes them (\u001b).
// Names, platforms, annotations and what upstreams say are other people's words: none of them is to move a cursor, to
// forge a row of a table, or to hide what it says.
func Printable(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return hidden(r) || r == '\n' || r == '\t' || r == utf8.RuneError }) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch r {
		case '\n':
			b.WriteString(`\n`)
		case '\t':
			b.WriteString(`\t`)
		default:
			writePrintable(&b, r)
		}
	}
	return b.String()
}

// hidden reports whether a character is written by its number: control and format characters, line separators, and
// what is shown as nothing. Line ends and tabs are not hidden, nor are characters that only a later Unicode knows.
func hidden(r rune) bool {
	return r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}

// stringWriter is what [writePrintable] writes to.
type stringWriter interface {
	io.StringWriter
	WriteRune(r rune) (int, error)
}

func writePrintable(w stringWriter, r rune) {
	switch high, low := utf16.EncodeRune(r); {
	case !hidden(r):
		_, _ = w.WriteRune(r)
	case high == unicode.ReplacementChar:
		_, _ = w.WriteString(fmt.Sprintf(`\u%04x`, r))
	default:
		_, _ = w.WriteString(fmt.Sprintf(`\u%04x\u%04x`, high, low))
	}
}

// PrintableWriter is what commands and logs write to: it passes text on to w as [Printable] does, but for line ends and
// tabs, which it keeps. What is JSON stays so. It is safe for concurrent use.
type PrintableWriter struct {
	W io.Writer

	mu   sync.Mutex
	rest []byte // of a character that was written in part
}

// Write implements [io.Writer]. Its error is that of the writer below.
func (p *PrintableWriter) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	given := len(text)
	if len(p.rest) > 0 {
		text = append(p.rest, text...)
		p.rest = nil
	}
	var b bytes.Buffer
	for len(text) > 0 {
		if !utf8.FullRune(text) {
			p.rest = bytes.Clone(text)
			break
		}
		r, n := utf8.DecodeRune(text)
		writePrintable(&b, r)
		text = text[n:]
	}
	if b.Len() == 0 {
		return given, nil
	}
	if _, err := p.W.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return given, nil
}
