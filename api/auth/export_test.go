package auth

import (
	"time"

	"golang.org/x/crypto/bcrypt"
)

func init() { newCost = bcrypt.MinCost } // the race detector makes bcrypt take seconds

// SetElapsed has tokens take a process for one that runs for so long.
func (g *Guard) SetElapsed(d time.Duration) { g.shared.elapsed = func() time.Duration { return d } }
