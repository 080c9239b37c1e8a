package auth_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"airmirror/api/auth"
)

func TestEditUsers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "htpasswd")
	if users, err := auth.Users(path); err != nil || len(users) != 0 {
		t.Errorf("with no file: %v, %v", users, err)
	}
	if err := auth.RemoveUser(path, "alice"); !errors.Is(err, auth.ErrNoUser) {
		t.Errorf("removing from no file: %v", err)
	}
	set := func(name, password string, want bool) {
		t.Helper()
		if added, err := auth.SetPassword(path, name, password); err != nil || added != want {
			t.Errorf("%s: added %v, %v", name, added, err)
		}
	}
	set("alice", "first", true)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's rights: %v, %v", info, err)
	}
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append([]byte("# who works here\n"), text...), 0o600))
	must(t, os.Chmod(path, 0o640))
	set("bob", "second", true)
	set("alice", "third", false)
	guard, err := auth.New(auth.Options{Htpasswd: path})
	must(t, err)
	wantCode(t, guard, user("alice", "third"), "")
	wantCode(t, guard, user("bob", "second"), "")
	wantCode(t, guard, user("alice", "first"), "UNAUTHORIZED")
	must(t, auth.RemoveUser(path, "bob"))
	if err := auth.RemoveUser(path, "bob"); !errors.Is(err, auth.ErrNoUser) {
		t.Errorf("a second time: %v", err)
	}
	users, err := auth.Users(path)
	if err != nil || !slices.Equal(users, []string{"alice"}) {
		t.Errorf("users: %v, %v", users, err)
	}
	text, err = os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "# who works here\nalice:$2a$") {
		t.Errorf("the file: %s, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file's rights: %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestInvalidUsersAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	for _, name := range []string{"", "a:b", "a b", "a\nb", "anonymous", "authenticated", "*", "#a", "\x00"} {
		if _, err := auth.SetPassword(path, name, "x"); err == nil {
			t.Errorf("%q is a user", name)
		}
	}
	for _, password := range []string{"", strings.Repeat("x", 73)} {
		if _, err := auth.SetPassword(path, "a", password); err == nil {
			t.Errorf("a password of %d bytes is taken", len(password))
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file all the same: %v", err)
	}
}

// TestInvalidFileIsNotChanged: and a symbolic link stays one.
func TestInvalidFileIsNotChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	must(t, os.WriteFile(path, []byte("bob:{SHA}x\n"), 0o600))
	if _, err := auth.SetPassword(path, "alice", "x"); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "bob:{SHA}x\n" {
		t.Errorf("the file: %q, %v", text, err)
	}
	must(t, os.WriteFile(path, nil, 0o600))
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(path, link))
	_, err := auth.SetPassword(link, "alice", "x")
	must(t, err)
	if users, err := auth.Users(path); err != nil || len(users) != 1 {
		t.Errorf("behind the link: %v, %v", users, err)
	}
}

// TestConcurrentEditsLoseNoUser: each edit waits for the previous one.
func TestConcurrentEditsLoseNoUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	var adding sync.WaitGroup
	for i := range 8 {
		adding.Go(func() {
			if _, err := auth.SetPassword(path, fmt.Sprintf("user%d", i), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	adding.Wait()
	if users, err := auth.Users(path); err != nil || len(users) != 8 {
		t.Errorf("users: %v, %v", users, err)
	}
}
