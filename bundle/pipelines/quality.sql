-- Refused rows by data set, hour or snapshot, and reason: counts only, so that nothing of a refused row leaves its zone.
-- Data sets with personal data keep theirs in the schema sensitive; this is read as the lake's own service principal.
CREATE OR REFRESH MATERIALIZED VIEW refused_rows
COMMENT 'Rows kept out of silver, by data set, partition and reason. A row with two reasons counts in both.'
AS
WITH refused AS (
  SELECT 'order_items' AS data_set, _lake_hour AS partition, _reasons FROM quarantine.order_items
  UNION ALL
  SELECT 'orders' AS data_set, _lake_hour AS partition, _reasons FROM quarantine.orders
  UNION ALL
  SELECT 'pageviews' AS data_set, _lake_hour AS partition, _reasons FROM sensitive.quarantine_pageviews
  UNION ALL
  SELECT 'products' AS data_set, _snapshot AS partition, _reasons FROM sensitive.quarantine_products
  UNION ALL
  SELECT 'stars' AS data_set, _lake_hour AS partition, _reasons FROM sensitive.quarantine_stars
  UNION ALL
  SELECT 'users' AS data_set, _snapshot AS partition, _reasons FROM sensitive.quarantine_users
  UNION ALL
  SELECT 'vip_users' AS data_set, _snapshot AS partition, _reasons FROM sensitive.quarantine_vip_users
)
SELECT data_set, partition, reason, count(*) AS rows
FROM refused LATERAL VIEW explode(_reasons) reasons AS reason
GROUP BY data_set, partition, reason;
