package admin

import (
	"os"
	"os/user"
	"strconv"
)

// self is the name of who this process runs as.
func processUser() string {
	if account, err := user.Current(); err == nil {
		return account.Username
	}
	return strconv.Itoa(os.Getuid())
}
