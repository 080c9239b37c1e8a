package signature

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"airmirror/mirror/durable"

	"aead.dev/minisign"
)

// Generate makes a key pair. It writes the secret key to path, readable by its owner only, and encrypted with password
// unless password is empty. It writes the public key to [PublicPath] of path. Both files are durable when it returns.
// If one of the files exists and overwrite is not set, Generate changes nothing and returns a [*fs.PathError] that wraps
// [fs.ErrExist].
//
// With a password, generating and loading the key take seconds and 1 GiB of memory. Minisign chooses these parameters to
// make guessing passwords expensive.
func Generate(path string, password []byte, overwrite bool) (PublicKey, error) {
	public, err := generate(path, PublicPath(path), password, overwrite)
	if err != nil {
		return PublicKey{}, fmt.Errorf("generate key: %w", err)
	}
	return public, nil
}

// PublicPath returns the file name of the public key that [Generate] writes for the secret key in path: path with the
// suffix .key replaced by .pub, or path with .pub appended if it has no such suffix.
func PublicPath(path string) string { return strings.TrimSuffix(path, ".key") + ".pub" }

func generate(path, publicPath string, password []byte, overwrite bool) (PublicKey, error) {
	for _, path := range []string{path, publicPath} { // before the expensive work
		if _, err := os.Lstat(path); err == nil && !overwrite {
			return PublicKey{}, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
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
	if overwrite {
		if err := replace(path, secret, 0o600); err != nil {
			return PublicKey{}, err
		}
		return PublicKey{public}, replace(publicPath, text, 0o644)
	}
	if err := writeNew(path, secret, 0o600); err != nil {
		return PublicKey{}, err
	}
	if err := writeNew(publicPath, text, 0o644); err != nil {
		return PublicKey{}, errors.Join(err, os.Remove(path))
	}
	return PublicKey{public}, nil
}

// replace replaces a file by one that contains a line of text.
func replace(path string, text []byte, mode os.FileMode) error {
	return durable.Replace(path, append(text, '\n'), func(file *os.File) error { return file.Chmod(mode) })
}

// writeNew creates a file that contains a line of text. The file must not exist. After an error, it does not exist.
func writeNew(path string, text []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = durable.SyncFolder(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
