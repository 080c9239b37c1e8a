//go:build unix

package server

import (
	"errors"
	"os"
	"strings"
	"testing"

	"airmirror/cache"
)

// TestCheckCommandRefusesOtherOwners checks that root does not write into the folder of another account.
func TestCheckCommandRefusesOtherOwners(t *testing.T) {
	data := t.TempDir()
	if err := CheckCommand(data+"/new", 0); err != nil {
		t.Errorf("a folder that is not there yet: %v", err)
	}
	if os.Geteuid() == 0 {
		if err := CheckCommand(data, 0); err != nil {
			t.Errorf("its own folder: %v", err)
		}
		if err := os.Chown(data, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	err := CheckCommand(data, 0)
	var failure *Error
	if !errors.As(err, &failure) || failure.Kind != UnusableData || !strings.Contains(err.Error(), "belongs to ") || !strings.Contains(err.Error(), "sudo -u ") {
		t.Errorf("the folder of another account: %v", err)
	}
	if err := CheckCommand(data, 65534); err != nil {
		t.Errorf("another account than root: %v", err)
	}
}

// TestCheckServerRefusesOtherOwners checks that root does not serve an index of another account. A new folder can belong to
// any account.
func TestCheckServerRefusesOtherOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	data := t.TempDir()
	index := data + "/" + cache.IndexName
	for _, path := range []string{data, index} {
		if err := checkServer(data, 0); err != nil {
			t.Errorf("before %s was another account's: %v", path, err)
		}
		if path == index {
			if err := os.WriteFile(index, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := checkServer(data, 0); err != nil {
				t.Errorf("an index of root in a folder of another account: %v", err)
			}
		}
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	err := checkServer(data, 0)
	var failure *Error
	if !errors.As(err, &failure) || failure.Kind != UnusableData || !strings.Contains(err.Error(), "sudo -u ") {
		t.Errorf("the folder of another server: %v", err)
	}
	if err := checkServer(data, 65534); err != nil {
		t.Errorf("another account than root: %v", err)
	}
}
