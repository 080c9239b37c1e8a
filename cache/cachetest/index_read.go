package cachetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"airmirror/cache/backend"
)

func testIndexGet(t *testing.T, x indexTest) {
	defer x.close()
	if got := x.get("none", "a"); got != "" {
		t.Errorf("key of an unknown table has value %q", got)
	}
	x.put("one", "a", "b\x00c")
	x.put("two", "a")
	if got := x.get("one", "b\x00c"); got != "value of b\x00c" {
		t.Errorf("value is %q", got)
	}
	if got := x.get("two", "b\x00c"); got != "" {
		t.Errorf("a key of another table is found: %q", got)
	}
	if got := x.get("one", "b"); got != "" {
		t.Errorf("a prefix of a key has value %q", got)
	}
	err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
		return errors.Join(tx.Delete("one", "a"), tx.Delete("one", "never there"), tx.Delete("no table", "a"))
	})
	if err != nil {
		t.Errorf("delete: %v", err)
	}
	if x.get("one", "a") != "" || x.get("two", "a") == "" {
		t.Error("Delete did not delete exactly one key of one table")
	}
	err = x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error { return tx.Put("one", "empty", nil) })
	if err == nil {
		t.Error("Put of an empty value succeeded")
	}
}

func testIndexScan(t *testing.T, x indexTest) {
	defer x.close()
	x.put("t", "a", "b", "b\x00", "b\x001", "b\x002", "b\x003", "ba", "c", "\xff", "\xff\xff")
	tests := []struct{ prefix, after, want string }{
		{"", "", "a b b. b.1 b.2 b.3 ba c # ##"},
		{"b", "", "b b. b.1 b.2 b.3 ba"},
		{"b\x00", "", "b. b.1 b.2 b.3"},
		{"b\x00", "b\x00", "b.1 b.2 b.3"},
		{"b\x00", "b\x001", "b.2 b.3"},
		{"b\x00", "b\x0011", "b.2 b.3"}, // after need not exist
		{"b\x00", "b\x003", ""},
		{"b\x00", "a", "b. b.1 b.2 b.3"}, // after sorts before the prefix
		{"b\x00", "c", ""},               // after sorts behind the prefix
		{"", "c", "# ##"},
		{"\xff", "", "# ##"},
		{"\xff", "\xff", "##"},
		{"d", "", ""},
	}
	show := strings.NewReplacer("\x00", ".", "\xff", "#")
	for _, test := range tests {
		var got []string
		err := x.View(context.Background(), func(tx backend.ReadTx) error {
			for key, value := range tx.Scan("t", test.prefix, test.after) {
				got = append(got, show.Replace(key))
				if string(value) != "value of "+key {
					t.Errorf("scan of %q yields %q as the value of %q", test.prefix, value, key)
				}
			}
			for range tx.Scan("t", test.prefix, test.after) {
				break // the scan must stop
			}
			for range tx.Scan("never written", test.prefix, test.after) {
				t.Error("an unknown table has keys")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("scan of %q after %q: %q, want %q", test.prefix, test.after, strings.Join(got, " "), test.want)
		}
	}
}

func testIndexReadYourWrites(t *testing.T, x indexTest) {
	defer x.close()
	x.put("t", "a", "b")
	err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
		if err := errors.Join(tx.Put("t", "c", []byte("new")), tx.Put("t", "b", []byte("new")), tx.Delete("t", "a")); err != nil {
			return err
		}
		if tx.Get("t", "a") != nil || string(tx.Get("t", "b")) != "new" || string(tx.Get("t", "c")) != "new" {
			t.Error("Get does not return what the transaction wrote")
		}
		var keys []string
		for key := range tx.Scan("t", "", "") {
			keys = append(keys, key)
		}
		if !slices.Equal(keys, []string{"b", "c"}) {
			t.Errorf("Scan yields %q, want b and c", keys)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
