//go:build unix

package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// mayWrite refuses the data folder of another account to a command that is run as root, whose effective user is euid: the
// server, which is that account, could not read what root writes there. To refuse is safer than to give each file away
// after it was written, since a crash in between leaves files of root.
func mayWrite(data string, euid int) error {
	account := otherAccount(data, euid)
	if account == "" {
		return nil
	}
	return &exitError{exitData, fmt.Errorf("the data folder %s belongs to %s, whose server could not read what root writes there: run this as that account (sudo -u '%s' mirror …), or while its server runs", data, account, account)}
}

// mayServe refuses to serve a folder as root that the server of another account has written to. The folder itself may be
// anybody's, as one that a container is given.
func mayServe(data string, euid int) error {
	account := otherAccount(filepath.Join(data, indexName), euid)
	if account == "" {
		return nil
	}
	return &exitError{exitData, fmt.Errorf("the content of the data folder %s belongs to %s, whose server could not read what root writes there: serve it as that account (sudo -u '%s' mirror serve …), or give it to root with: chown -R root %s", data, account, account, data)}
}

// otherAccount names the owner of a file if that is not root, who euid is. Who opens the file finds out what else is wrong.
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
