package mirror

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// TextReader reads text as UTF-8 without a byte order mark. It converts UTF-16, which Windows PowerShell writes. UTF-16
// without a byte order mark is recognized by a zero byte in its first character, because every file that this program
// reads begins with an ASCII character. TextReader returns other text unchanged. It is for files that people write or
// edit: lists, keys, receipts, users and passwords.
func TextReader(r io.Reader) io.Reader {
	in := bufio.NewReader(r)
	start, err := in.Peek(3)
	if err != nil && err != io.EOF {
		return io.MultiReader(bytes.NewReader(bytes.Clone(start)), failing{err})
	}
	for _, mark := range []struct {
		bytes string
		order binary.ByteOrder
	}{{"\xef\xbb\xbf", nil}, {"\xff\xfe", binary.LittleEndian}, {"\xfe\xff", binary.BigEndian}} {
		if !bytes.HasPrefix(start, []byte(mark.bytes)) {
			continue
		}
		_, _ = in.Discard(len(mark.bytes)) // it is buffered, so this cannot fail
		if mark.order != nil {
			return &utf16Reader{in: in, order: mark.order}
		}
		return in
	}
	if len(start) > 1 && (start[0] == 0) != (start[1] == 0) {
		if start[0] == 0 {
			return &utf16Reader{in: in, order: binary.BigEndian}
		}
		return &utf16Reader{in: in, order: binary.LittleEndian}
	}
	return in
}

// failing is a reader that always fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Text returns what [TextReader] reads from data.
func Text(data []byte) []byte {
	text, _ := io.ReadAll(TextReader(bytes.NewReader(data))) // cannot fail
	return text
}

// utf16Reader converts UTF-16 to UTF-8. Invalid characters become U+FFFD.
type utf16Reader struct {
	in    *bufio.Reader
	order binary.ByteOrder
	rest  []byte // bytes of the last character that were not returned yet
}

func (u *utf16Reader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(u.rest) == 0 {
			if n > 0 && u.in.Buffered() < 4 { // return the converted bytes without waiting for more
				return n, nil
			}
			if u.rest, err = u.char(); err != nil {
				return n, err
			}
		}
		c := copy(p[n:], u.rest)
		u.rest, n = u.rest[c:], n+c
	}
	return n, nil
}

// char reads one character.
func (u *utf16Reader) char() ([]byte, error) {
	pair, err := u.in.Peek(4)
	if len(pair) == 0 {
		return nil, err
	}
	if len(pair) < 2 {
		_, _ = u.in.Discard(1)
		return utf8.AppendRune(nil, utf8.RuneError), nil
	}
	r, size := rune(u.order.Uint16(pair)), 2
	if utf16.IsSurrogate(r) {
		low := utf8.RuneError
		if len(pair) == 4 {
			low = rune(u.order.Uint16(pair[2:]))
		}
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			size = 4
		}
	}
	_, _ = u.in.Discard(size)
	return utf8.AppendRune(nil, r), nil
}
