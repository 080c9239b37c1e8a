package postgres

import (
	"hash/fnv"
	"maps"
	"slices"

	"airmirror/cache/backend"
)

// maxLocks is the number of names from which on an update runs alone. The locks of all transactions share a table in the
// memory of the server, which has 6400 places by default.
const maxLocks = 1000

// aloneKey is the lock that an update holds exclusively to run alone, and that all others share.
var aloneKey = lockKey("alone")

// lockKey returns the key of the advisory lock of a name. Two names with the same key only make updates wait.
func lockKey(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("airmirror " + name)) // a hash never returns an error
	return int64(h.Sum64())
}

// lockStatement takes locks in the order of its arguments. All transactions use one order, so they never wait for each
// other in a circle.
const lockStatement = `select case when x then pg_advisory_xact_lock(k)::text else pg_advisory_xact_lock_shared(k)::text end
from unnest($1::bigint[], $2::boolean[]) as l(k, x)`

// lockArgs returns the arguments of lockStatement.
func lockArgs(locks backend.Locks, alone bool) (keys []int64, exclusive []bool) {
	if names := len(locks.Shared) + len(locks.Exclusive); alone || names == 0 || names > maxLocks {
		return []int64{aloneKey}, []bool{true}
	}
	modes := make(map[int64]bool, len(locks.Shared)+len(locks.Exclusive))
	for _, name := range locks.Shared {
		modes[lockKey(name)] = false
	}
	for _, name := range locks.Exclusive {
		modes[lockKey(name)] = true
	}
	keys, exclusive = []int64{aloneKey}, []bool{false}
	for _, key := range slices.Sorted(maps.Keys(modes)) {
		keys, exclusive = append(keys, key), append(exclusive, modes[key])
	}
	return keys, exclusive
}
