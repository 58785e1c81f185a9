package twin

// Merchant is the pay side of the account.
type Merchant struct {
	ID string
}
