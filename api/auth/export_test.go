package auth

import "golang.org/x/crypto/bcrypt"

func init() { newCost = bcrypt.MinCost } // the race detector makes bcrypt take seconds
