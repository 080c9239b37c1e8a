package auth

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"airmirror/mirror"
	"airmirror/mirror/durable"
)

// ErrNoUser means that the file has no such user.
var ErrNoUser = errors.New("no such user")

// newCost is the bcrypt cost of new passwords.
var newCost = bcrypt.DefaultCost

// Users returns the users of an htpasswd file in its order. The list is empty if the file does not exist.
func Users(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		_, _, err = parseUsers(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var names []string
	for line := range strings.Lines(string(mirror.Text(text))) {
		if name, _, isUser := parseLine(line); isUser {
			names = append(names, name)
		}
	}
	return names, nil
}

// SetPassword sets the password of a user in an htpasswd file. It creates the file and the user if necessary, and
// leaves all other lines as they are. added reports whether the user is new.
func SetPassword(path, name, password string) (added bool, err error) {
	switch {
	case !ValidUser(name):
		return false, fmt.Errorf("%q cannot be a user name: it is reserved for rules, or contains a colon or a space", name)
	case password == "":
		return false, errors.New("the password is empty")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), newCost)
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		return false, errors.New("the password is longer than 72 bytes, the limit of bcrypt")
	}
	if err != nil {
		return false, err
	}
	err = edit(path, func(lines []string) ([]string, error) {
		line := name + ":" + string(hash)
		i := indexUser(lines, name)
		if added = i < 0; added {
			return append(lines, line), nil
		}
		lines[i] = line
		return lines, nil
	})
	return added, err
}

// RemoveUser removes a user from an htpasswd file. It returns [ErrNoUser] if there is none.
func RemoveUser(path, name string) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return ErrNoUser
	}
	return edit(path, func(lines []string) ([]string, error) {
		i := indexUser(lines, name)
		if i < 0 {
			return nil, ErrNoUser
		}
		return slices.Delete(lines, i, i+1), nil
	})
}

func indexUser(lines []string, name string) int {
	return slices.IndexFunc(lines, func(line string) bool {
		user, _, isUser := parseLine(line)
		return isUser && user == name
	})
}

// edit atomically replaces a file with the result of change, which gets its lines. It preserves permissions and owner.
// Only one process at a time edits the file.
func edit(path string, change func(lines []string) ([]string, error)) error {
	if real, err := filepath.EvalSymlinks(path); err == nil { // keep a symbolic link
		path = real
	}
	locked, err := lock(path)
	if err != nil {
		return fmt.Errorf("cannot change %s: %w", path, err)
	}
	defer locked.Close()
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot change %s: %w", path, err)
	}
	var lines []string
	if trimmed := strings.TrimRight(string(mirror.Text(text)), "\r\n"); trimmed != "" {
		lines = strings.Split(trimmed, "\n")
	}
	if lines, err = change(lines); err != nil {
		return err
	}
	var changed bytes.Buffer
	for _, line := range lines {
		changed.WriteString(line + "\n")
	}
	if _, _, err := parseUsers(changed.Bytes()); err != nil { // a running server would refuse the file
		return fmt.Errorf("%s: %w", path, err)
	}
	info, err := locked.Stat()
	if err == nil {
		err = durable.Replace(path, changed.Bytes(), func(file *os.File) error {
			return errors.Join(own(file, info), file.Chmod(info.Mode().Perm()))
		})
	}
	if err != nil {
		return fmt.Errorf("cannot change %s: %w", path, err)
	}
	return nil
}
