package auth

import (
	"time"

	"golang.org/x/crypto/bcrypt"
)

func init() { newCost = bcrypt.MinCost } // bcrypt takes seconds with the race detector

// SetElapsed sets how long the process seems to have been running.
func (g *Guard) SetElapsed(d time.Duration) { g.shared.elapsed = func() time.Duration { return d } }
