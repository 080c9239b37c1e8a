package admin

import (
	"os"
	"os/user"
	"strconv"
)

// processUser returns the name of the user that this process runs as, or the ID if it has no name.
func processUser() string {
	if account, err := user.Current(); err == nil {
		return account.Username
	}
	return strconv.Itoa(os.Getuid())
}
