package postgres_test

import (
	"testing"

	"airmirror/cache/backend"
	"airmirror/cache/cachetest"
	"airmirror/cache/postgres"
)

func TestLeases(t *testing.T) {
	postgres.Database(t)
	cachetest.Leases(t, func(t *testing.T) (a, b backend.Index) {
		url := postgres.Database(t)
		return postgres.OpenIndex(t, url), postgres.OpenIndex(t, url)
	})
}
