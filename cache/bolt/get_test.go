package bolt

import (
	"context"
	"fmt"
	"testing"

	"airmirror/cache/backend"
)

// getTables and getKeys are the tables and the keys of a test of Get.
var getTables = []backend.Table{"a", "b", "c", "d", "e"}

const getKeys = 2000 // enough for several pages

func openFilled(t testing.TB) *Index {
	t.Helper()
	x := open(t, t.TempDir())
	t.Cleanup(func() { x.Close() })
	err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
		for _, table := range getTables {
			for i := range getKeys {
				if err := tx.Put(table, getKey(i), []byte(table)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func getKey(i int) string { return fmt.Sprintf("%064d", i) }

// TestGetAllocatesNothing reads one key after another in one transaction, as a list of images does.
func TestGetAllocatesNothing(t *testing.T) {
	x := openFilled(t)
	keys := []string{getKey(0), getKey(1), getKey(getKeys / 2), getKey(getKeys - 1)}
	err := x.View(context.Background(), func(tx backend.ReadTx) error {
		get := func() {
			for _, table := range getTables {
				for _, key := range keys {
					if value := tx.Get(table, key); string(value) != string(table) {
						t.Errorf("key %s of table %s is %q", key, table, value)
					}
				}
				if value := tx.Get(table, "absent"); value != nil {
					t.Errorf("an absent key of table %s is %q", table, value)
				}
			}
		}
		get() // opens the tables
		if allocations := testing.AllocsPerRun(5, get); allocations != 0 {
			t.Errorf("%v allocations for %d keys", allocations, len(getTables)*(len(keys)+1))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestGetSeesWritesOfItsTransaction writes between two reads of the same key.
func TestGetSeesWritesOfItsTransaction(t *testing.T) {
	x := openFilled(t)
	err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
		for _, table := range append([]backend.Table{"new"}, getTables...) {
			for _, i := range []int{0, getKeys / 2, getKeys} {
				key := getKey(i)
				tx.Get(table, key)
				if err := tx.Put(table, key, []byte("written")); err != nil {
					return err
				}
				if value := tx.Get(table, key); string(value) != "written" {
					return fmt.Errorf("after a write, key %d of table %s is %q", i, table, value)
				}
				if err := tx.Delete(table, key); err != nil {
					return err
				}
				if value := tx.Get(table, key); value != nil {
					return fmt.Errorf("after its deletion, key %d of table %s is %q", i, table, value)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkGet(b *testing.B) {
	x := openFilled(b)
	err := x.View(context.Background(), func(tx backend.ReadTx) error {
		for i := 0; b.Loop(); i++ {
			tx.Get(getTables[i%len(getTables)], getKey(i*7919%getKeys))
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
