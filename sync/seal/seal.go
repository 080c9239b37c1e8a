// Package seal keeps keys and makes and checks signatures in minisign's format, so that the minisign tool checks what is
// signed here and the other way round: https://jedisct1.github.io/minisign/
//
// The signatures are made and checked by aead.dev/minisign; what is here reads and writes the files and says what went
// wrong. Signatures are of the prehashed kind ("ED"). Those of the older kind ("Ed", by minisign -S -l) are taken too.
//
// A signature is the same bytes every time, but for the time in its trusted comment; SOURCE_DATE_EPOCH fixes that.
//
// Everything here may be used concurrently.
package seal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aead.dev/minisign"

	"airmirror/mirror"
)

const (
	// maxComment is how long a trusted comment may be: the minisign tool reads a line of 8 KiB.
	maxComment = 8000
	// maxSignature is how long a signature may be: two comments and two lines of base64.
	maxSignature = 16 << 10
)

// Sign signs message and returns the text of a .minisig file. Its trusted comment, which is signed too, is
// "timestamp:<seconds>", followed by a tab and trustedComment if that is not empty: one line of at most 8000 bytes. The
// time is now, or what SOURCE_DATE_EPOCH says; that it is no number is an error.
func Sign(key PrivateKey, message []byte, trustedComment string) (signature []byte, err error) {
	if err := checkComment(trustedComment); err != nil {
		return nil, err
	}
	seconds, err := timestamp()
	if err != nil {
		return nil, err
	}
	trusted := "timestamp:" + strconv.FormatInt(seconds, 10)
	if trustedComment != "" {
		trusted += "\t" + trustedComment
	}
	return sign(key, message, trusted), nil
}

func sign(key PrivateKey, message []byte, trusted string) []byte {
	r := minisign.NewReader(bytes.NewReader(message))
	_, _ = io.Copy(io.Discard, r) // hashes it; reading from memory does not fail
	return r.SignWithComments(key.key, trusted, "signature from key "+key.ID())
}

func checkComment(comment string) error {
	if len(comment) > maxComment {
		return fmt.Errorf("trusted comment has %d bytes, more than the %d that minisign reads", len(comment), maxComment)
	}
	unfit := func(r rune) bool { return unicode.IsControl(r) && r != '\t' }
	if !utf8.ValidString(comment) || strings.ContainsFunc(comment, unfit) {
		return fmt.Errorf("trusted comment %q is not one line of text", comment)
	}
	return nil
}

// timestamp is the time of a signature: https://reproducible-builds.org/specs/source-date-epoch/
func timestamp() (int64, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Now().Unix(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return 0, fmt.Errorf("SOURCE_DATE_EPOCH is %q: it must be a number of seconds since 1970", text)
	}
	return seconds, nil
}

// Verify checks that one of keys made signature, the text of a .minisig file, of message. It returns that key's ID and
// the trusted comment, which is true if the key's owner is.
//
// Errors have [mirror.CodeDenied]. They name the key that signed, as the signature has it, and those that are trusted.
func Verify(keys []PublicKey, message, signature []byte) (keyID, trustedComment string, err error) {
	// Anyone can sign for the key that is zero, and it is nobody's.
	keys = slices.DeleteFunc(slices.Clone(keys), func(k PublicKey) bool { return k.key.Equal(minisign.PublicKey{}) })
	if len(keys) == 0 {
		return "", "", mirror.Errorf(mirror.CodeDenied, "signature cannot be checked: no key is trusted")
	}
	if len(signature) > maxSignature {
		return "", "", mirror.Errorf(mirror.CodeDenied, "signature is larger than %d KiB", maxSignature>>10)
	}
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return "", "", mirror.Errorf(mirror.CodeDenied, "signature is not one of minisign's: %w", err)
	}
	known := false
	for _, key := range keys {
		if key.key.ID() != s.KeyID {
			continue
		}
		known = true
		if minisign.Verify(key.key, message, signature) {
			return key.ID(), s.TrustedComment, nil
		}
	}
	if !known {
		return "", "", mirror.Errorf(mirror.CodeDenied, "signed with key %s, which is not trusted (trusted: %s): "+
			"trust that key as well if it is the sender's", formatID(s.KeyID), joinIDs(keys))
	}
	return "", "", mirror.Errorf(mirror.CodeDenied, "signature of key %s does not fit what it is said to sign: "+
		"one of them was changed or damaged (trusted: %s)", formatID(s.KeyID), joinIDs(keys))
}

func joinIDs(keys []PublicKey) string {
	var ids []string
	for _, key := range keys {
		ids = append(ids, key.ID())
	}
	return strings.Join(ids, ", ")
}

// formatID writes a key's ID as the minisign tool does.
func formatID(id uint64) string { return strings.ToUpper(strconv.FormatUint(id, 16)) }
