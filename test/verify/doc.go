// Package verify damages buckets in every way there is and checks that `ossencfs verify` finds just that.
package verify
