-- A claim makes its row longer (token, lease, name of the daemon). With half of the page kept free, the claims of one
-- page's rows fitted only because the server removed their dead versions in between, which it cannot while somebody
-- holds an old snapshot; then a tenth of the claims left their page and had to touch every index. With this much room
-- each row's first claim stays on its page in any case.
alter table outboxd.notification_outbox set (fillfactor = 45);
