//go:build unix

package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// mayWrite refuses the data folder of another account to a command that is run as root, whose effective user is euid: the
// server, which is that account, could not read what root writes there. To refuse is safer than to give each file away
// after it was written, since a crash in between leaves files of root.
func mayWrite(data string, euid int) error {
	info, err := os.Stat(data)
	if err != nil || euid != 0 {
		return nil // whoever opens it finds out
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == 0 {
		return nil
	}
	account := "#" + strconv.FormatUint(uint64(stat.Uid), 10)
	if owner, err := user.LookupId(account[1:]); err == nil {
		account = owner.Username
	}
	return &exitError{exitData, fmt.Errorf("the data folder %s belongs to %s, whose server could not read what root writes there: run this as that account (sudo -u '%s' mirror …), or while its server runs", data, account, account)}
}
