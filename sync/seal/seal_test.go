package seal_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/mirror"
	"airmirror/sync/seal"
)

// plainKey is the key of testdata.
func plainKey(t testing.TB) seal.PrivateKey {
	t.Helper()
	key, err := seal.LoadPrivate("testdata/plain.key", nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newKey is a key that nobody has seen before.
func newKey(t testing.TB) seal.PrivateKey {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new.key")
	if _, err := seal.Generate(path, nil); err != nil {
		t.Fatal(err)
	}
	key, err := seal.LoadPrivate(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, key seal.PrivateKey, message, comment string) []byte {
	t.Helper()
	signature, err := seal.Sign(key, []byte(message), comment)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func TestAnyOfTheTrustedKeysMayHaveSigned(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	key := plainKey(t)
	trusted := []seal.PublicKey{newKey(t).Public(), key.Public(), newKey(t).Public()}
	for comment, want := range map[string]string{
		"":                    "timestamp:1700000000",
		"bundle 7 for Zürich": "timestamp:1700000000\tbundle 7 for Zürich",
	} {
		id, got, err := seal.Verify(trusted, []byte("message"), sign(t, key, "message", comment))
		if err != nil || id != key.ID() || got != want {
			t.Errorf("key %s, comment %q (%v), want %s, %q", id, got, err, key.ID(), want)
		}
	}
	if _, _, err := seal.Verify(trusted, nil, sign(t, key, "", "")); err != nil {
		t.Errorf("the empty message: %v", err)
	}
}

func TestASignatureIsReproducible(t *testing.T) {
	key := plainKey(t)
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	first := sign(t, key, "message", "comment")
	if !bytes.Equal(first, sign(t, key, "message", "comment")) {
		t.Error("the same message at the same time has two signatures")
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if bytes.Equal(first, sign(t, key, "message", "comment")) {
		t.Error("the time is not in the signature")
	}
	for _, epoch := range []string{"yesterday", "-1", "1.5"} {
		t.Setenv("SOURCE_DATE_EPOCH", epoch)
		if _, err := seal.Sign(key, nil, ""); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
			t.Errorf("SOURCE_DATE_EPOCH=%s: %v", epoch, err)
		}
	}
}

func TestACommentIsOneLineThatMinisignReads(t *testing.T) {
	key := plainKey(t)
	for _, comment := range []string{"two\nlines", "two\rlines", "\x1b[2J", "a\x00b", "\xff", strings.Repeat("x", 8001)} {
		if _, err := seal.Sign(key, nil, comment); err == nil {
			t.Errorf("%.20q was signed", comment)
		}
	}
	long := strings.Repeat("x", 8000)
	if _, _, err := seal.Verify([]seal.PublicKey{key.Public()}, nil, sign(t, key, "", long)); err != nil {
		t.Errorf("the longest comment: %v", err)
	}
}

func TestWhatDoesNotVerifySaysWhoSignedAndWhoIsTrusted(t *testing.T) {
	key, other, third := plainKey(t), newKey(t), newKey(t)
	signature := string(sign(t, key, "message", "comment"))
	lines := strings.SplitAfter(signature, "\n")
	damaged := func(line int) string { // one letter of the line's base64, in the middle of the signature
		damaged := []byte(lines[line])
		if damaged[40]++; damaged[40] > 'y' || damaged[40] < 'a' {
			damaged[40] = 'a'
		}
		changed := append([]string{}, lines...)
		changed[line] = string(damaged)
		return strings.Join(changed, "")
	}
	both := []seal.PublicKey{other.Public(), third.Public()}
	own := []seal.PublicKey{key.Public()}
	for name, tt := range map[string]struct {
		trusted   []seal.PublicKey
		message   string
		signature string
		want      []string
	}{
		"no key":                  {nil, "message", signature, []string{"no key is trusted"}},
		"the zero key":            {make([]seal.PublicKey, 1), "message", signature, []string{"no key is trusted"}},
		"other keys":              {both, "message", signature, []string{"with key " + key.ID() + ",", other.ID() + ", " + third.ID()}},
		"another message":         {own, "massage", signature, []string{"of key " + key.ID(), "does not fit"}},
		"a damaged signature":     {own, "message", damaged(1), []string{"does not fit"}},
		"a damaged comment":       {own, "message", strings.Replace(signature, "\tcomment", "\tCOMMENT", 1), []string{"does not fit"}},
		"a damaged comment's":     {own, "message", damaged(3), []string{"does not fit"}},
		"no signature":            {own, "message", "", []string{"not one of minisign's"}},
		"half a signature":        {own, "message", lines[0] + lines[1], []string{"not one of minisign's"}},
		"more than a signature":   {own, "message", signature + "more", []string{"not one of minisign's"}},
		"a signature without end": {own, "message", signature + strings.Repeat("\n", 16<<10), []string{"larger than 16 KiB"}},
	} {
		_, _, err := seal.Verify(tt.trusted, []byte(tt.message), []byte(tt.signature))
		if mirror.CodeOf(err) != mirror.CodeDenied {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
	}
}

// FuzzVerify: only the message that was signed verifies, whatever became of the signature.
func FuzzVerify(f *testing.F) {
	key := plainKey(f)
	f.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	signature := sign(f, key, "message", "comment")
	f.Add([]byte("message"), signature)
	f.Add([]byte("message"), bytes.ReplaceAll(signature, []byte("\n"), []byte("\r\n")))
	f.Add([]byte(""), []byte("untrusted comment: \n\ntrusted comment: \n"))
	f.Fuzz(func(t *testing.T, message, text []byte) {
		id, comment, err := seal.Verify([]seal.PublicKey{key.Public()}, message, text)
		if err == nil && (string(message) != "message" || id != key.ID() || comment != "timestamp:1700000000\tcomment") {
			t.Errorf("%q verifies with %q: %s, %q", message, text, id, comment)
		}
	})
}
