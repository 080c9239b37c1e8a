package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"airmirror/api/auth"
	"airmirror/mirror"
)

// InitialUser is the user that a server creates if there are no users, so that containers need no command to create one. The
// zero value creates none.
type InitialUser struct {
	Name         string `yaml:"name"`
	Password     string `yaml:"password" secret:"true"`
	PasswordFile string `yaml:"passwordFile"`
}

func (u InitialUser) check() error {
	switch {
	case u == (InitialUser{}):
		return nil
	case !auth.ValidUser(u.Name):
		return fmt.Errorf("%q cannot be the name of a user", u.Name)
	case u.Password == "" && u.PasswordFile == "":
		return fmt.Errorf("%s has no password: set auth.initialUser.passwordFile or password", u.Name)
	case u.Password != "" && u.PasswordFile != "":
		return fmt.Errorf("%s has a password and a passwordFile: remove one of them", u.Name)
	}
	return nil
}

// ReadPassword returns the password, which it reads from the file if there is one.
func (u InitialUser) ReadPassword() (string, error) {
	if u.PasswordFile == "" {
		return u.Password, nil
	}
	text, err := os.ReadFile(u.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("cannot read the password of the user %s: %w", u.Name, err)
	}
	password := strings.TrimRight(string(mirror.Text(text)), "\r\n")
	if password == "" {
		return "", errors.New("the file " + u.PasswordFile + " contains no password")
	}
	return password, nil
}
