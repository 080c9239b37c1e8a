// Package signature generates and loads signing keys, and makes and verifies signatures, all in the format of minisign.
// The minisign tool verifies signatures of this package, and this package verifies those of the tool:
// https://jedisct1.github.io/minisign/
//
// The cryptography is that of aead.dev/minisign. This package adds key files, limits and error messages. It makes
// prehashed signatures ("ED"), and verifies legacy signatures ("Ed", made by minisign -S -l) as well.
//
// Signatures are deterministic, except for the time in the trusted comment. SOURCE_DATE_EPOCH sets that time.
//
// All functions and types are safe for concurrent use.
package signature

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
	// maxComment is the maximum length of a trusted comment in bytes. The minisign tool reads lines of up to 8 KiB.
	maxComment = 8000
	// maxSignature is the maximum length of a signature file in bytes: two comments and two lines of base64 are less.
	maxSignature = 16 << 10
)

// Sign signs message and returns the text of a .minisig file. The trusted comment, which the signature covers, is
// "timestamp:<seconds>", followed by a tab and trustedComment if trustedComment is not empty. The time is the value of
// SOURCE_DATE_EPOCH if it is set, else the current time.
//
// Sign returns an error if trustedComment is longer than 8000 bytes or is not one line of text, and if
// SOURCE_DATE_EPOCH is not a number.
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
	_, _ = io.Copy(io.Discard, r) // computes the hash; reading from memory does not fail
	return r.SignWithComments(key.key, trusted, "signature from key "+key.ID())
}

func checkComment(comment string) error {
	if len(comment) > maxComment {
		return fmt.Errorf("trusted comment has %d bytes: the limit is %d", len(comment), maxComment)
	}
	forbidden := func(r rune) bool { return unicode.IsControl(r) && r != '\t' }
	if !utf8.ValidString(comment) || strings.ContainsFunc(comment, forbidden) {
		return fmt.Errorf("trusted comment %q is not one line of text", comment)
	}
	return nil
}

// timestamp returns the time of a signature in seconds since 1970: https://reproducible-builds.org/specs/source-date-epoch/
func timestamp() (int64, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Now().Unix(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return 0, fmt.Errorf("SOURCE_DATE_EPOCH is %q: want a number of seconds since 1970", text)
	}
	return seconds, nil
}

// Verify checks that signature, the text of a .minisig file, is a signature of message by one of keys. It returns the ID
// of that key and the trusted comment.
//
// Errors have the code [mirror.CodeDenied]. They contain the key ID that the signature claims and the IDs of keys.
func Verify(keys []PublicKey, message, signature []byte) (keyID, trustedComment string, err error) {
	// Anyone can make signatures that the zero key verifies.
	keys = slices.DeleteFunc(slices.Clone(keys), func(k PublicKey) bool { return k.key.Equal(minisign.PublicKey{}) })
	if len(keys) == 0 {
		return "", "", mirror.Errorf(mirror.CodeDenied, "signature cannot be checked: no key is trusted")
	}
	if len(signature) > maxSignature {
		return "", "", mirror.Errorf(mirror.CodeDenied, "signature is larger than %d KiB", maxSignature>>10)
	}
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return "", "", mirror.Errorf(mirror.CodeDenied, "signature is not in minisign's format: %w", err)
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
			"add that key to the trusted ones if it belongs to the sender", formatID(s.KeyID), joinIDs(keys))
	}
	return "", "", mirror.Errorf(mirror.CodeDenied, "signature of key %s does not match the signed content: "+
		"one of the two was changed or damaged (trusted: %s)", formatID(s.KeyID), joinIDs(keys))
}

func joinIDs(keys []PublicKey) string {
	var ids []string
	for _, key := range keys {
		ids = append(ids, key.ID())
	}
	return strings.Join(ids, ", ")
}

// formatID formats a key ID as the minisign tool does.
func formatID(id uint64) string { return strings.ToUpper(strconv.FormatUint(id, 16)) }
