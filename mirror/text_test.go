package mirror

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestTextReaderConvertsEncodings(t *testing.T) {
	for encoded, want := range map[string]string{
		"":                                  "",
		"plain":                             "plain",
		"\xef\xbb\xbfnginx:1\r\n":           "nginx:1\r\n",
		"\xff\xfea\x00\xe4\x00\r\x00\n\x00": "aä\r\n",
		"\xfe\xff\x00a\x00\xe4":             "aä",
		"\xff\xfe\x3d\xd8\x00\xde":          "\U0001F600",
		"\xff\xfea\x00b":                    "a\ufffd", // cut in half
		"\xff\xfe\x3d\xd8":                  "\ufffd",
		"\xff\xfe":                          "",
		"a\xff\xfe":                         "a\xff\xfe",
		"a\x00\xe4\x00\r\x00\n\x00":         "aä\r\n",
		"\x00a\x00\xe4":                     "aä",
		"\x00\x00a":                         "\x00\x00a",
		"a":                                 "a",
		"\x00":                              "\x00",
	} {
		if got := string(Text([]byte(encoded))); got != want {
			t.Errorf("Text(%q) = %q, want %q", encoded, got, want)
		}
		if got, err := io.ReadAll(TextReader(iotest.OneByteReader(strings.NewReader(encoded)))); string(got) != want || err != nil {
			t.Errorf("TextReader(%q) reads %q, %v, want %q", encoded, got, err, want)
		}
	}
}

func TestTextReaderReturnsErrors(t *testing.T) {
	if _, err := io.ReadAll(TextReader(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("\xff\xfea\x00b\x00"))))); err != iotest.ErrTimeout {
		t.Errorf("%v, want %v", err, iotest.ErrTimeout)
	}
}
