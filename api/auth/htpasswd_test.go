package auth

import (
	"fmt"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// TestWrongPasswordsCostTheSame: for all costs of the hashes in the file, for known and unknown users.
func TestWrongPasswordsCostTheSame(t *testing.T) {
	text := ""
	for _, cost := range []int{4, 5, 7} {
		hash, err := bcrypt.GenerateFromPassword([]byte("right"), cost)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("user%d:%s\n", cost, hash)
	}
	users, err := readUsers([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, known := range map[string]bool{"user4": true, "user5": true, "user7": true, "nobody": false} {
		rounds := 0
		compare := func(hash, password []byte) error {
			cost, err := bcrypt.Cost(hash)
			if err != nil {
				t.Fatal(err)
			}
			rounds += 1 << cost
			err = bcrypt.CompareHashAndPassword(hash, password)
			if err != nil && err != bcrypt.ErrMismatchedHashAndPassword { //nolint:errorlint // it would cost no time
				t.Errorf("%s: %v", name, err)
			}
			return err
		}
		if users.matches(name, "wrong", compare) || rounds != 1<<7 {
			t.Errorf("a wrong password of %s costs %d rounds, want %d", name, rounds, 1<<7)
		}
		if got := users.matches(name, "right", compare); got != known {
			t.Errorf("the right password of %s: %t, want %t", name, got, known)
		}
	}
}
