//go:build unix

package server

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"airmirror/cache"
)

// CheckCommand refuses to let root write to the data folder of another account, with euid as the effective user: the
// server of that account could not read the files. Changing the owner of each file after writing it would not be safe, as
// a crash in between leaves files of root.
func CheckCommand(data string, euid int) error {
	account := otherAccount(data, euid)
	if account == "" {
		return nil
	}
	return &Error{UnusableData, fmt.Errorf("the data folder %s belongs to %s, whose server could not read files of root: run this command as that account (sudo -u '%s' mirror …), or while its server runs", data, account, account)}
}

// checkServer refuses to serve, as root, a data folder that the server of another account has written to. The folder
// itself may belong to any account, such as a volume of a container.
func checkServer(data string, euid int) error {
	account := otherAccount(filepath.Join(data, cache.IndexName), euid)
	if account == "" {
		return nil
	}
	return &Error{UnusableData, fmt.Errorf("the content of the data folder %s belongs to %s, whose server could not read files of root: serve it as that account (sudo -u '%s' mirror serve …), or change its owner to root with: chown -R root %s", data, account, account, data)}
}

// otherAccount returns the owner of a file if it is not root, and "" if euid is not root. It ignores errors: opening the
// file reports them.
func otherAccount(path string, euid int) string {
	info, err := os.Stat(path)
	if err != nil || euid != 0 {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == 0 {
		return ""
	}
	id := strconv.FormatUint(uint64(stat.Uid), 10)
	if owner, err := user.LookupId(id); err == nil {
		return owner.Username
	}
	return "#" + id
}
