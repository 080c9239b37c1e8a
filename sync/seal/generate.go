package seal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"aead.dev/minisign"
)

// Generate makes a key pair. The secret key goes to path, readable by its owner only, and protected by password unless
// that is empty; the public key goes to [PublicPath] of path. Both are durable when it returns. A file that is there
// already is an error that is fs.ErrExist, and nothing is changed.
//
// A password costs seconds and 1 GiB of memory, here and whenever the key is loaded: minisign's choice, which makes
// guessing it as expensive.
func Generate(path string, password []byte) (PublicKey, error) {
	public, err := generate(path, PublicPath(path), password)
	if err != nil {
		return PublicKey{}, fmt.Errorf("generate key: %w", err)
	}
	return public, nil
}

// PublicPath returns where [Generate] puts the public key that belongs to the secret key in path: with .pub in place of
// .key, or after the name.
func PublicPath(path string) string { return strings.TrimSuffix(path, ".key") + ".pub" }

func generate(path, publicPath string, password []byte) (PublicKey, error) {
	for _, path := range []string{path, publicPath} { // before the work
		if _, err := os.Lstat(path); err == nil {
			return PublicKey{}, fmt.Errorf("%s: %w, and a key is never overwritten: choose another name", path, os.ErrExist)
		}
	}
	public, private, err := minisign.GenerateKey(nil)
	if err != nil {
		return PublicKey{}, err
	}
	secret, err := private.MarshalText()
	if len(password) > 0 {
		secret, err = minisign.EncryptKey(string(password), private)
	}
	if err != nil {
		return PublicKey{}, err
	}
	text, err := public.MarshalText()
	if err != nil {
		return PublicKey{}, err
	}
	if err := writeNew(path, secret, 0o600); err != nil {
		return PublicKey{}, err
	}
	if err := writeNew(publicPath, text, 0o644); err != nil {
		return PublicKey{}, errors.Join(err, os.Remove(path))
	}
	return PublicKey{public}, nil
}

// writeNew writes a line into a file that must not be there yet; after an error it is not.
func writeNew(path string, text []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
