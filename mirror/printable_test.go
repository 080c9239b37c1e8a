package mirror_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"

	"airmirror/mirror"
)

// printable has untrusted texts, and how they are printed.
var printable = []struct{ text, line, lines string }{
	{"", "", ""},
	{"library/alpine:3 — größer, 日本語 ✓", "library/alpine:3 — größer, 日本語 ✓", "library/alpine:3 — größer, 日本語 ✓"},
	{"\x1b]0;pwned\x07\x1b[2J", `\u001b]0;pwned\u0007\u001b[2J`, `\u001b]0;pwned\u0007\u001b[2J`},
	{"a\n\tb\r\n", `a\n\tb\u000d\n`, "a\n\tb\\u000d\n"},
	{"li\u202enux\u2066\u200e\u061c", `li\u202enux\u2066\u200e\u061c`, `li\u202enux\u2066\u200e\u061c`},
	{"zero\u200bwidth\ufeff\u00ad", `zero\u200bwidth\ufeff\u00ad`, `zero\u200bwidth\ufeff\u00ad`},
	{"line\u2028paragraph\u2029", `line\u2028paragraph\u2029`, `line\u2028paragraph\u2029`},
	{"\u0085\u009b31m\x7f\x00", `\u0085\u009b31m\u007f\u0000`, `\u0085\u009b31m\u007f\u0000`},
	{"filler\u3164\u115f", `filler\u3164\u115f`, `filler\u3164\u115f`},
	{"of a later Unicode: \U0005535e", "of a later Unicode: \U0005535e", "of a later Unicode: \U0005535e"},
	{"private: \ue0b0", "private: \ue0b0", "private: \ue0b0"},
	{"tag\U000e0041", `tag\udb40\udc41`, `tag\udb40\udc41`},
	{"no utf-8: \x9b31m\xff\xc3", "no utf-8: \ufffd31m\ufffd\ufffd", "no utf-8: \ufffd31m\ufffd"}, // an incomplete character is not written
}

func TestPrintable(t *testing.T) {
	for _, tt := range printable {
		if got := mirror.Printable(tt.text); got != tt.line {
			t.Errorf("%q is %q, want %q", tt.text, got, tt.line)
		}
		var b strings.Builder
		if n, err := io.Copy(&mirror.PrintableWriter{W: &b}, iotest.OneByteReader(strings.NewReader(tt.text))); n != int64(len(tt.text)) || err != nil || b.String() != tt.lines {
			t.Errorf("%q byte by byte is %q, %d, %v; want %q", tt.text, b.String(), n, err, tt.lines)
		}
	}
}

// TestPrintableIsStillJSON that says the same.
func TestPrintableIsStillJSON(t *testing.T) {
	for _, tt := range printable {
		said, err := json.Marshal(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if _, err := (&mirror.PrintableWriter{W: &b}).Write(said); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal([]byte(b.String()), &got); err != nil || got != strings.ToValidUTF8(tt.text, "\ufffd") && got != strings.Map(func(r rune) rune { return r }, tt.text) {
			t.Errorf("%s is %s: %q, %v", said, &b, got, err)
		}
	}
}

func TestPrintableWriterFails(t *testing.T) {
	full := errors.New("full")
	if n, err := (&mirror.PrintableWriter{W: fullDisk{full}}).Write([]byte("text")); n != 0 || !errors.Is(err, full) {
		t.Errorf("%d, %v", n, err)
	}
}

type fullDisk struct{ err error }

func (f fullDisk) Write([]byte) (int, error) { return 0, f.err }

func FuzzPrintable(f *testing.F) {
	for _, tt := range printable {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range mirror.Printable(text) {
			// Not unicode.C: it has the characters that are not assigned yet as well.
			if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point) {
				t.Errorf("%q is printed with %U", text, r)
			}
		}
	})
}
