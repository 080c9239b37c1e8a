package signature_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/mirror"
	"airmirror/sync/signature"
)

// plainKey returns the key of testdata.
func plainKey(t testing.TB) signature.PrivateKey {
	t.Helper()
	key, err := signature.LoadPrivate("testdata/plain.key", nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newKey generates a key.
func newKey(t testing.TB) signature.PrivateKey {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new.key")
	if _, err := signature.Generate(path, nil, false); err != nil {
		t.Fatal(err)
	}
	key, err := signature.LoadPrivate(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, key signature.PrivateKey, message, comment string) []byte {
	t.Helper()
	text, err := signature.Sign(key, []byte(message), comment)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestVerifyWithSeveralKeys(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	key := plainKey(t)
	trusted := []signature.PublicKey{newKey(t).Public(), key.Public(), newKey(t).Public()}
	for comment, want := range map[string]string{
		"":                    "timestamp:1700000000",
		"bundle 7 for Zürich": "timestamp:1700000000\tbundle 7 for Zürich",
	} {
		id, got, err := signature.Verify(trusted, []byte("message"), sign(t, key, "message", comment))
		if err != nil || id != key.ID() || got != want {
			t.Errorf("key %s, comment %q (%v), want %s, %q", id, got, err, key.ID(), want)
		}
	}
	if _, _, err := signature.Verify(trusted, nil, sign(t, key, "", "")); err != nil {
		t.Errorf("empty message: %v", err)
	}
}

func TestSignIsReproducible(t *testing.T) {
	key := plainKey(t)
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	first := sign(t, key, "message", "comment")
	if !bytes.Equal(first, sign(t, key, "message", "comment")) {
		t.Error("two signatures of one message at one time differ")
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if bytes.Equal(first, sign(t, key, "message", "comment")) {
		t.Error("the signature does not contain the time")
	}
	for _, epoch := range []string{"yesterday", "-1", "1.5"} {
		t.Setenv("SOURCE_DATE_EPOCH", epoch)
		if _, err := signature.Sign(key, nil, ""); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
			t.Errorf("SOURCE_DATE_EPOCH=%s: %v", epoch, err)
		}
	}
}

func TestSignChecksComment(t *testing.T) {
	key := plainKey(t)
	for _, comment := range []string{"two\nlines", "two\rlines", "\x1b[2J", "a\x00b", "\xff", strings.Repeat("x", 8001)} {
		if _, err := signature.Sign(key, nil, comment); err == nil {
			t.Errorf("%.20q was signed", comment)
		}
	}
	long := strings.Repeat("x", 8000)
	if _, _, err := signature.Verify([]signature.PublicKey{key.Public()}, nil, sign(t, key, "", long)); err != nil {
		t.Errorf("longest comment: %v", err)
	}
}

func TestVerifyErrors(t *testing.T) {
	key, other, third := plainKey(t), newKey(t), newKey(t)
	text := string(sign(t, key, "message", "comment"))
	lines := strings.SplitAfter(text, "\n")
	damaged := func(line int) string { // one letter of the line's base64, in the middle of the signature
		damaged := []byte(lines[line])
		if damaged[40]++; damaged[40] > 'y' || damaged[40] < 'a' {
			damaged[40] = 'a'
		}
		changed := append([]string{}, lines...)
		changed[line] = string(damaged)
		return strings.Join(changed, "")
	}
	both := []signature.PublicKey{other.Public(), third.Public()}
	own := []signature.PublicKey{key.Public()}
	for name, tt := range map[string]struct {
		trusted []signature.PublicKey
		message string
		text    string
		want    []string
	}{
		"no key":                     {nil, "message", text, []string{"no key is trusted"}},
		"the zero key":               {make([]signature.PublicKey, 1), "message", text, []string{"no key is trusted"}},
		"other keys":                 {both, "message", text, []string{"with key " + key.ID() + ",", other.ID() + ", " + third.ID()}},
		"another message":            {own, "massage", text, []string{"of key " + key.ID(), "does not match"}},
		"a damaged signature":        {own, "message", damaged(1), []string{"does not match"}},
		"a damaged comment":          {own, "message", strings.Replace(text, "\tcomment", "\tCOMMENT", 1), []string{"does not match"}},
		"a damaged global signature": {own, "message", damaged(3), []string{"does not match"}},
		"no signature":               {own, "message", "", []string{"not in minisign's format"}},
		"half a signature":           {own, "message", lines[0] + lines[1], []string{"not in minisign's format"}},
		"more than a signature":      {own, "message", text + "more", []string{"not in minisign's format"}},
		"a signature without end":    {own, "message", text + strings.Repeat("\n", 16<<10), []string{"larger than 16 KiB"}},
	} {
		_, _, err := signature.Verify(tt.trusted, []byte(tt.message), []byte(tt.text))
		if mirror.CodeOf(err) != mirror.CodeDenied {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not contain %q", name, err, want)
			}
		}
	}
}

// FuzzVerify checks that no change of a signature makes it verify another message.
func FuzzVerify(f *testing.F) {
	key := plainKey(f)
	f.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	text := sign(f, key, "message", "comment")
	f.Add([]byte("message"), text)
	f.Add([]byte("message"), bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")))
	f.Add([]byte(""), []byte("untrusted comment: \n\ntrusted comment: \n"))
	f.Fuzz(func(t *testing.T, message, text []byte) {
		id, comment, err := signature.Verify([]signature.PublicKey{key.Public()}, message, text)
		if err == nil && (string(message) != "message" || id != key.ID() || comment != "timestamp:1700000000\tcomment") {
			t.Errorf("%q verifies with %q: %s, %q", message, text, id, comment)
		}
	})
}
