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

// Printable returns text as one line that is safe to print on a terminal. Control characters, including line ends, and
// characters that change the direction or the look of others are escaped as in JSON (\u001b). Names, platforms,
// annotations and messages of upstreams are untrusted: they must not move the cursor, forge a row of a table, or hide
// text.
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

// hidden reports whether a character is escaped: control and format characters, line separators, and characters without
// a visible form. Line ends and tabs are not hidden, nor are characters that are unassigned in this version of Unicode.
func hidden(r rune) bool {
	if ' ' <= r && r <= '~' { // nearly all text
		return false
	}
	return r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}

// stringWriter is the destination of [writePrintable].
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

// PrintableWriter writes text to W with characters escaped as by [Printable], except for line ends and tabs. JSON
// remains valid. Commands and logs write to it. It is safe for concurrent use.
type PrintableWriter struct {
	W io.Writer

	mu   sync.Mutex
	rest []byte // the beginning of a character that was written in part
}

// Write implements [io.Writer]. It returns the errors of W.
func (p *PrintableWriter) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.rest) == 0 && isPlain(text) {
		return p.W.Write(text)
	}
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

// isPlain reports whether text consists of ASCII characters that are written as they are.
func isPlain(text []byte) bool {
	for _, c := range text {
		if (c < ' ' || c > '~') && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}
