package signature

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"aead.dev/minisign"

	"airmirror/mirror"
)

// maxKeyFile is the maximum size of a key file in bytes: a comment and a line of base64 are less.
const maxKeyFile = 16 << 10

// PrivateKey is a key that makes signatures. Printing it shows its ID only, never the secret.
type PrivateKey struct{ key minisign.PrivateKey }

// ID returns the key ID, which is also that of the public key.
func (k PrivateKey) ID() string { return formatID(k.key.ID()) }

// Public returns the public key that verifies signatures of k.
func (k PrivateKey) Public() PublicKey { return PublicKey{k.key.Public().(minisign.PublicKey)} }

// String returns "secret key " and the key ID.
func (k PrivateKey) String() string { return "secret key " + k.ID() }

// GoString returns the same as [PrivateKey.String].
func (k PrivateKey) GoString() string { return k.String() }

// PublicKey is a key that verifies signatures. The zero PublicKey verifies nothing.
type PublicKey struct{ key minisign.PublicKey }

// ID returns the key ID in the notation of the minisign tool: up to 16 hexadecimal digits. A key ID is not a
// fingerprint: anyone can make another key with the same ID.
func (k PublicKey) ID() string { return formatID(k.key.ID()) }

// String returns the key as one line of base64, which [LoadPublic] and minisign -P accept.
func (k PublicKey) String() string { return k.key.String() }

// LoadPrivate reads a secret key file that [Generate] or minisign -G wrote. If a password protects the key, LoadPrivate
// calls password to get it; decryption then takes seconds and up to 1 GiB of memory, depending on the parameters in the
// file. If password is nil, a protected key is an error.
func LoadPrivate(path string, password func() ([]byte, error)) (PrivateKey, error) {
	text, err := readKeyFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return PrivateKey{}, fmt.Errorf("the secret key %s does not exist: 'mirror key generate' creates one", path)
	}
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
		return PrivateKey{}, errors.New("it is a public key: signing needs the secret key")
	case !minisign.IsEncrypted(text):
		if err := key.key.UnmarshalText(text); err != nil {
			return PrivateKey{}, err
		}
	case password == nil:
		return PrivateKey{}, errors.New("it is protected by a password, and there is no terminal to read the password from")
	default:
		secret, err := password()
		if err != nil {
			return PrivateKey{}, fmt.Errorf("read its password: %w", err)
		}
		if key.key, err = minisign.DecryptKey(string(secret), text); err != nil {
			return PrivateKey{}, fmt.Errorf("wrong password, or the file is damaged: %w", err)
		}
	}
	// The library does not check the public half of the file. A signature that is made with a wrong one does not verify
	// and can reveal the secret half.
	probe := sign(key, nil, "")
	if !minisign.Verify(key.Public().key, nil, probe) {
		return PrivateKey{}, errors.New("its public half does not belong to its secret half: the file is damaged")
	}
	return key, nil
}

// LoadPublic reads a public key. The argument is the key as one line of base64, the content of a public key file, or the
// name of a public key file that [Generate] or minisign -G wrote.
func LoadPublic(pathOrKey string) (PublicKey, error) {
	var key PublicKey
	if key.key.UnmarshalText([]byte(strings.TrimSpace(pathOrKey))) == nil {
		return key, nil
	}
	text, err := readKeyFile(pathOrKey)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%q is neither a public key nor a file that contains one: %w", pathOrKey, err)
	}
	if err := key.key.UnmarshalText(text); err != nil {
		if new(minisign.PrivateKey).UnmarshalText(text) == nil || minisign.IsEncrypted(text) {
			return PublicKey{}, fmt.Errorf("%s is a secret key: verifying needs the public key, by default in %s",
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
		return nil, fmt.Errorf("%s is larger than %d KiB: it is not a key file", path, maxKeyFile>>10)
	}
	return mirror.Text(text), nil
}
