package seal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"aead.dev/minisign"

	"airmirror/mirror"
)

// maxKeyFile is how large a key file may be: a comment and a line of base64.
const maxKeyFile = 16 << 10

// PrivateKey signs. It is not printed by accident: its text is its ID.
type PrivateKey struct{ key minisign.PrivateKey }

// ID returns the key's ID, the same as its public key's.
func (k PrivateKey) ID() string { return formatID(k.key.ID()) }

// Public returns the key that verifies what k signs.
func (k PrivateKey) Public() PublicKey { return PublicKey{k.key.Public().(minisign.PublicKey)} }

// String returns the ID.
func (k PrivateKey) String() string { return "secret key " + k.ID() }

// GoString returns the ID.
func (k PrivateKey) GoString() string { return k.String() }

// PublicKey verifies.
type PublicKey struct{ key minisign.PublicKey }

// ID returns the key's ID, as the minisign tool writes it: up to 16 hexadecimal digits. It is a hint, not a fingerprint:
// anyone can make a key with the same one.
func (k PublicKey) ID() string { return formatID(k.key.ID()) }

// String returns the key as one line of base64, which [LoadPublic] and minisign -P take.
func (k PublicKey) String() string { return k.key.String() }

// LoadPrivate reads a secret key file, by [Generate] or by minisign -G. If the key is protected, password is asked for
// the password, and finding out whether it is the right one takes seconds and up to 1 GiB of memory, as the file says. A
// nil password is an error for such a key.
func LoadPrivate(path string, password func() ([]byte, error)) (PrivateKey, error) {
	text, err := readKeyFile(path)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("read secret key: %w", err)
	}
	key, err := parsePrivate(text, password)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("read secret key %s: %w", path, err)
	}
	return key, nil
}

func parsePrivate(text []byte, password func() ([]byte, error)) (PrivateKey, error) {
	var key PrivateKey
	switch {
	case new(minisign.PublicKey).UnmarshalText(text) == nil:
		return PrivateKey{}, errors.New("it is a public key: signing takes the secret one")
	case !minisign.IsEncrypted(text):
		if err := key.key.UnmarshalText(text); err != nil {
			return PrivateKey{}, err
		}
	case password == nil:
		return PrivateKey{}, errors.New("it is protected by a password, and there is nobody to ask for it")
	default:
		secret, err := password()
		if err != nil {
			return PrivateKey{}, fmt.Errorf("ask for its password: %w", err)
		}
		if key.key, err = minisign.DecryptKey(string(secret), text); err != nil {
			return PrivateKey{}, fmt.Errorf("wrong password, or the file is damaged: %w", err)
		}
	}
	// The library believes the public half in the file. A signature with a wrong one would verify nowhere, and could
	// give the secret half away.
	probe := sign(key, nil, "")
	if !minisign.Verify(key.Public().key, nil, probe) {
		return PrivateKey{}, errors.New("its halves do not belong together: the file is damaged")
	}
	return key, nil
}

// LoadPublic reads a public key: from the file of that name, by [Generate] or by minisign -G, or, if pathOrKey is no
// such name but the line of base64 itself, or the whole text of such a file, from that.
func LoadPublic(pathOrKey string) (PublicKey, error) {
	var key PublicKey
	if key.key.UnmarshalText([]byte(strings.TrimSpace(pathOrKey))) == nil {
		return key, nil
	}
	text, err := readKeyFile(pathOrKey)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%q is no public key, nor a file that has one: %w", pathOrKey, err)
	}
	if err := key.key.UnmarshalText(text); err != nil {
		if new(minisign.PrivateKey).UnmarshalText(text) == nil || minisign.IsEncrypted(text) {
			return PublicKey{}, fmt.Errorf("%s is a secret key: what verifies is the public one, in %s",
				pathOrKey, PublicPath(pathOrKey))
		}
		return PublicKey{}, fmt.Errorf("read public key %s: %w", pathOrKey, err)
	}
	return key, nil
}

func readKeyFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%s is larger than %d KiB: it is not a key", path, maxKeyFile>>10)
	}
	return mirror.Text(text), nil
}
