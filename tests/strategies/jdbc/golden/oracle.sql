ALTER SESSION SET NLS_COMP = BINARY NLS_SORT = BINARY NLS_NUMERIC_CHARACTERS = '.,' NLS_CALENDAR = GREGORIAN NLS_DATE_LANGUAGE = AMERICAN TIME_ZONE = '+00:00';
SET TRANSACTION READ ONLY;
SELECT version FROM product_component_version WHERE product LIKE 'Oracle%';
SELECT t.owner, t.table_name, t.column_name, t.data_type, t.data_type_owner, t.data_length, t.data_precision, t.data_scale, t.char_length, t.nullable, t.collation, c.comments FROM all_tab_cols t LEFT JOIN all_col_comments c ON c.owner = t.owner AND c.table_name = t.table_name AND c.column_name = t.column_name WHERE t.hidden_column = 'NO' AND t.owner IN (SELECT username FROM all_users WHERE oracle_maintained = 'N') ORDER BY t.owner, t.table_name, t.column_id;
SELECT t.owner, t.table_name, t.constraint_name, t.constraint_type, c.column_name FROM all_constraints t JOIN all_cons_columns c ON c.owner = t.owner AND c.constraint_name = t.constraint_name AND c.table_name = t.table_name WHERE t.constraint_type IN ('P', 'U') AND t.status = 'ENABLED' AND t.validated = 'VALIDATED' AND t.owner IN (SELECT username FROM all_users WHERE oracle_maintained = 'N') ORDER BY t.owner, t.table_name, t.constraint_name, c.position;
SELECT t.table_owner, t.table_name, t.index_name, t.uniqueness, c.column_name, c.descend FROM all_indexes t JOIN all_ind_columns c ON c.index_owner = t.owner AND c.index_name = t.index_name WHERE t.index_type IN ('NORMAL', 'IOT - TOP') AND t.status <> 'UNUSABLE' AND t.visibility = 'VISIBLE' AND t.table_owner IN (SELECT username FROM all_users WHERE oracle_maintained = 'N') ORDER BY t.table_owner, t.table_name, t.owner, t.index_name, c.column_position;
SELECT t.owner, t.table_name, CASE WHEN m.mview_name IS NULL THEN 'table' ELSE 'materialized view' END, t.num_rows, t.avg_row_len, c.comments FROM all_tables t LEFT JOIN all_mviews m ON m.owner = t.owner AND m.mview_name = t.table_name LEFT JOIN all_tab_comments c ON c.owner = t.owner AND c.table_name = t.table_name WHERE t.nested = 'NO' AND t.secondary = 'N' AND (t.iot_type IS NULL OR t.iot_type = 'IOT') AND t.owner IN (SELECT username FROM all_users WHERE oracle_maintained = 'N') UNION ALL SELECT t.owner, t.view_name, 'view', NULL, NULL, c.comments FROM all_views t LEFT JOIN all_tab_comments c ON c.owner = t.owner AND c.table_name = t.view_name WHERE t.owner IN (SELECT username FROM all_users WHERE oracle_maintained = 'N') ORDER BY 1, 2;
SELECT t.owner, t.table_name, t.column_name, t.data_type, t.data_type_owner, t.data_length, t.data_precision, t.data_scale, t.char_length, t.nullable, t.collation, c.comments FROM all_tab_cols t LEFT JOIN all_col_comments c ON c.owner = t.owner AND c.table_name = t.table_name AND c.column_name = t.column_name WHERE t.hidden_column = 'NO' AND t.owner = 'SHOP' AND t.table_name = 'KEYED' ORDER BY t.owner, t.table_name, t.column_id;
SELECT t.owner, t.table_name, t.constraint_name, t.constraint_type, c.column_name FROM all_constraints t JOIN all_cons_columns c ON c.owner = t.owner AND c.constraint_name = t.constraint_name AND c.table_name = t.table_name WHERE t.constraint_type IN ('P', 'U') AND t.status = 'ENABLED' AND t.validated = 'VALIDATED' AND t.owner = 'SHOP' AND t.table_name = 'KEYED' ORDER BY t.owner, t.table_name, t.constraint_name, c.position;
SELECT t.table_owner, t.table_name, t.index_name, t.uniqueness, c.column_name, c.descend FROM all_indexes t JOIN all_ind_columns c ON c.index_owner = t.owner AND c.index_name = t.index_name WHERE t.index_type IN ('NORMAL', 'IOT - TOP') AND t.status <> 'UNUSABLE' AND t.visibility = 'VISIBLE' AND t.table_owner = 'SHOP' AND t.table_name = 'KEYED' ORDER BY t.table_owner, t.table_name, t.owner, t.index_name, c.column_position;
SELECT t.owner, t.table_name, CASE WHEN m.mview_name IS NULL THEN 'table' ELSE 'materialized view' END, t.num_rows, t.avg_row_len, c.comments FROM all_tables t LEFT JOIN all_mviews m ON m.owner = t.owner AND m.mview_name = t.table_name LEFT JOIN all_tab_comments c ON c.owner = t.owner AND c.table_name = t.table_name WHERE t.nested = 'NO' AND t.secondary = 'N' AND (t.iot_type IS NULL OR t.iot_type = 'IOT') AND t.owner = 'SHOP' AND t.table_name = 'KEYED' UNION ALL SELECT t.owner, t.view_name, 'view', NULL, NULL, c.comments FROM all_views t LEFT JOIN all_tab_comments c ON c.owner = t.owner AND c.table_name = t.view_name WHERE t.owner = 'SHOP' AND t.view_name = 'KEYED' ORDER BY 1, 2;
SELECT TO_CHAR("KEYED"."ID", 'TM9') AS c0, LTRIM(TO_CHAR("KEYED"."D", 'SYYYY-MM-DD"T"HH24:MI:SS')) AS c1 FROM "SHOP"."KEYED"  FETCH FIRST 3 ROWS ONLY;
SELECT TO_CHAR(DBMS_FLASHBACK.GET_SYSTEM_CHANGE_NUMBER) FROM dual;
COMMIT;
BEGIN DBMS_FLASHBACK.ENABLE_AT_SYSTEM_CHANGE_NUMBER(1000); END;;
SELECT 1 AS one FROM "SHOP"."KEYED"  FETCH FIRST 1 ROWS ONLY;
SELECT count(*) FROM (SELECT 1 AS one FROM "SHOP"."KEYED" FETCH FIRST 100001 ROWS ONLY) counted;
SELECT num_rows, avg_row_len FROM all_tables t WHERE t.owner = 'SHOP' AND t.table_name = 'KEYED';
SELECT TO_CHAR("KEYED"."ID", 'TM9') FROM "SHOP"."KEYED" ORDER BY "KEYED"."ID" FETCH FIRST 1 ROWS ONLY;
SELECT TO_CHAR("KEYED"."ID", 'TM9') FROM "SHOP"."KEYED" ORDER BY "KEYED"."ID" DESC FETCH FIRST 1 ROWS ONLY;
SELECT TO_CHAR("KEYED"."ID", 'TM9') AS c0, LTRIM(TO_CHAR("KEYED"."D", 'SYYYY-MM-DD"T"HH24:MI:SS')) AS c1 FROM "SHOP"."KEYED" WHERE "KEYED"."ID" < 11;
SELECT TO_CHAR("KEYED"."ID", 'TM9') AS c0, LTRIM(TO_CHAR("KEYED"."D", 'SYYYY-MM-DD"T"HH24:MI:SS')) AS c1 FROM "SHOP"."KEYED" WHERE "KEYED"."ID" >= 11 AND "KEYED"."ID" < 21;
SELECT TO_CHAR("KEYED"."ID", 'TM9') AS c0, LTRIM(TO_CHAR("KEYED"."D", 'SYYYY-MM-DD"T"HH24:MI:SS')) AS c1 FROM "SHOP"."KEYED" WHERE "KEYED"."ID" >= 21;
SELECT t.owner, t.table_name, t.column_name, t.data_type, t.data_type_owner, t.data_length, t.data_precision, t.data_scale, t.char_length, t.nullable, t.collation, c.comments FROM all_tab_cols t LEFT JOIN all_col_comments c ON c.owner = t.owner AND c.table_name = t.table_name AND c.column_name = t.column_name WHERE t.hidden_column = 'NO' AND t.owner = 'SHOP' AND t.table_name = 'FOLLOWED' ORDER BY t.owner, t.table_name, t.column_id;
SELECT TO_CHAR(CEIL((SYSDATE - MIN(start_date)) * 86400)) FROM gv$transaction WHERE status = 'ACTIVE';
SELECT LTRIM(TO_CHAR(LEAST(SYS_EXTRACT_UTC(SYSTIMESTAMP), CAST(SYSTIMESTAMP AS TIMESTAMP)), 'SYYYY-MM-DD"T"HH24:MI:SS.FF6')) FROM dual;
SELECT LTRIM(TO_CHAR((TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9') - NUMTODSINTERVAL(3900, 'SECOND')), 'SYYYY-MM-DD"T"HH24:MI:SS.FF9')) FROM dual;
BEGIN DBMS_FLASHBACK.ENABLE_AT_SYSTEM_CHANGE_NUMBER(1001); END;;
SELECT 1 AS one FROM "SHOP"."FOLLOWED"  FETCH FIRST 1 ROWS ONLY;
SELECT count(*) FROM (SELECT 1 AS one FROM "SHOP"."FOLLOWED" FETCH FIRST 100001 ROWS ONLY) counted;
SELECT num_rows, avg_row_len FROM all_tables t WHERE t.owner = 'SHOP' AND t.table_name = 'FOLLOWED';
SELECT count(*) FROM (SELECT 1 AS one FROM "SHOP"."FOLLOWED" WHERE ("FOLLOWED"."TS" IS NULL)  FETCH FIRST 100001 ROWS ONLY) counted;
SELECT "FOLLOWED"."K" FROM "SHOP"."FOLLOWED" ORDER BY "FOLLOWED"."K" FETCH FIRST 1 ROWS ONLY;
SELECT "FOLLOWED"."K", CASE WHEN "FOLLOWED"."K" > 'k1    ' THEN 1 ELSE 0 END FROM "SHOP"."FOLLOWED" WHERE "FOLLOWED"."K" >= 'k1    ' ORDER BY "FOLLOWED"."K" OFFSET 10 ROWS FETCH NEXT 1 ROWS ONLY;
SELECT "FOLLOWED"."K" AS c0, LTRIM(TO_CHAR("FOLLOWED"."TS", 'SYYYY-MM-DD"T"HH24:MI:SS.FF6')) AS c1 FROM "SHOP"."FOLLOWED" WHERE "FOLLOWED"."K" < 'k19   ';
SELECT "FOLLOWED"."K", CASE WHEN "FOLLOWED"."K" > 'k19   ' THEN 1 ELSE 0 END FROM "SHOP"."FOLLOWED" WHERE "FOLLOWED"."K" >= 'k19   ' ORDER BY "FOLLOWED"."K" OFFSET 10 ROWS FETCH NEXT 1 ROWS ONLY;
SELECT "FOLLOWED"."K" AS c0, LTRIM(TO_CHAR("FOLLOWED"."TS", 'SYYYY-MM-DD"T"HH24:MI:SS.FF6')) AS c1 FROM "SHOP"."FOLLOWED" WHERE "FOLLOWED"."K" >= 'k19   ' AND "FOLLOWED"."K" < 'k28   ';
SELECT "FOLLOWED"."K", CASE WHEN "FOLLOWED"."K" > 'k28   ' THEN 1 ELSE 0 END FROM "SHOP"."FOLLOWED" WHERE "FOLLOWED"."K" >= 'k28   ' ORDER BY "FOLLOWED"."K" OFFSET 10 ROWS FETCH NEXT 1 ROWS ONLY;
SELECT "FOLLOWED"."K" AS c0, LTRIM(TO_CHAR("FOLLOWED"."TS", 'SYYYY-MM-DD"T"HH24:MI:SS.FF6')) AS c1 FROM "SHOP"."FOLLOWED" WHERE "FOLLOWED"."K" >= 'k28   ';
SELECT CASE WHEN TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9') > TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9') THEN 1 ELSE 0 END FROM dual;
BEGIN DBMS_FLASHBACK.ENABLE_AT_SYSTEM_CHANGE_NUMBER(1002); END;;
SELECT LTRIM(TO_CHAR((TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9') - NUMTODSINTERVAL(90000, 'SECOND')), 'SYYYY-MM-DD"T"HH24:MI:SS.FF9')) FROM dual;
SELECT count(*) FROM (SELECT 1 AS one FROM "SHOP"."FOLLOWED" WHERE "FOLLOWED"."TS" IS NOT NULL AND "FOLLOWED"."TS" >= TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9') AND "FOLLOWED"."TS" < TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9')  FETCH FIRST 100001 ROWS ONLY) counted;
SELECT count(*) FROM (SELECT 1 AS one FROM "SHOP"."FOLLOWED" WHERE "FOLLOWED"."TS" IS NOT NULL AND "FOLLOWED"."TS" >= TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9')  FETCH FIRST 100001 ROWS ONLY) counted;
BEGIN DBMS_FLASHBACK.ENABLE_AT_SYSTEM_CHANGE_NUMBER(1003); END;;
SELECT LTRIM(TO_CHAR(TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9'), 'SYYYY-MM-DD"T"HH24:MI:SS.FF9')) FROM dual;
SELECT LTRIM(TO_CHAR("FOLLOWED"."TS", 'SYYYY-MM-DD"T"HH24:MI:SS.FF9')) FROM "SHOP"."FOLLOWED" WHERE "FOLLOWED"."TS" IS NOT NULL AND "FOLLOWED"."TS" >= TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9') AND "FOLLOWED"."TS" < TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9') ORDER BY "FOLLOWED"."TS" FETCH FIRST 1 ROWS ONLY;
SELECT LTRIM(TO_CHAR(k0, 'SYYYY-MM-DD"T"HH24:MI:SS.FF9')) FROM (SELECT DISTINCT k0 FROM (SELECT "FOLLOWED"."TS" AS k0, row_number() OVER (ORDER BY "FOLLOWED"."TS") AS place FROM "SHOP"."FOLLOWED" WHERE "FOLLOWED"."TS" IS NOT NULL AND "FOLLOWED"."TS" >= TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9') AND "FOLLOWED"."TS" < TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9') AND "FOLLOWED"."TS" >= TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9')) ranked WHERE MOD(place, 10) = 1 AND k0 > TO_TIMESTAMP(' <time>', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9')) cuts ORDER BY k0;
SELECT "FOLLOWED"."K" AS c0 FROM "SHOP"."FOLLOWED";
SELECT t.owner, t.table_name, t.column_name, t.data_type, t.data_type_owner, t.data_length, t.data_precision, t.data_scale, t.char_length, t.nullable, t.collation, c.comments FROM all_tab_cols t LEFT JOIN all_col_comments c ON c.owner = t.owner AND c.table_name = t.table_name AND c.column_name = t.column_name WHERE t.hidden_column = 'NO' AND t.owner = 'SHOP' AND t.table_name = 'o"d''d ü' ORDER BY t.owner, t.table_name, t.column_id;
SELECT TO_CHAR("o""d'd ü"."N", 'TM9') FROM "SHOP"."o""d'd ü" WHERE "o""d'd ü"."N" IS NOT NULL ORDER BY "o""d'd ü"."N" DESC FETCH FIRST 1 ROWS ONLY;
SELECT TO_CHAR(27, 'TM9') FROM dual;
SELECT CASE WHEN 27 > -9223372036854775808 THEN 1 ELSE 0 END FROM dual;
BEGIN DBMS_FLASHBACK.ENABLE_AT_SYSTEM_CHANGE_NUMBER(1004); END;;
SELECT 1 AS one FROM "SHOP"."o""d'd ü"  FETCH FIRST 1 ROWS ONLY;
SELECT 1 AS one FROM "SHOP"."o""d'd ü" WHERE 1 = 0 AND (1 = 1
);
SELECT count(*) FROM (SELECT 1 AS one FROM "SHOP"."o""d'd ü" FETCH FIRST 100001 ROWS ONLY) counted;
SELECT num_rows, avg_row_len FROM all_tables t WHERE t.owner = 'SHOP' AND t.table_name = 'o"d''d ü';
SELECT count(*) FROM (SELECT 1 AS one FROM "SHOP"."o""d'd ü" WHERE ("o""d'd ü"."N" IS NULL) AND (1 = 1
)  FETCH FIRST 100001 ROWS ONLY) counted;
SELECT TO_CHAR("o""d'd ü"."K", 'TM9') FROM "SHOP"."o""d'd ü" WHERE "o""d'd ü"."K" IS NOT NULL AND (1 = 1
) ORDER BY "o""d'd ü"."K" FETCH FIRST 1 ROWS ONLY;
SELECT TO_CHAR("o""d'd ü"."K", 'TM9'), CASE WHEN "o""d'd ü"."K" > 1.5 THEN 1 ELSE 0 END FROM "SHOP"."o""d'd ü" WHERE "o""d'd ü"."K" IS NOT NULL AND "o""d'd ü"."K" >= 1.5 AND (1 = 1
) ORDER BY "o""d'd ü"."K" OFFSET 10 ROWS FETCH NEXT 1 ROWS ONLY;
SELECT TO_CHAR("o""d'd ü"."K", 'TM9') AS c0, TO_CHAR("o""d'd ü"."N", 'TM9') AS c1 FROM "SHOP"."o""d'd ü" WHERE "o""d'd ü"."K" IS NOT NULL AND "o""d'd ü"."K" < 16.5 AND "o""d'd ü"."N" < 27 AND (1 = 1
);
SELECT TO_CHAR("o""d'd ü"."K", 'TM9'), CASE WHEN "o""d'd ü"."K" > 16.5 THEN 1 ELSE 0 END FROM "SHOP"."o""d'd ü" WHERE "o""d'd ü"."K" IS NOT NULL AND "o""d'd ü"."K" >= 16.5 AND (1 = 1
) ORDER BY "o""d'd ü"."K" OFFSET 10 ROWS FETCH NEXT 1 ROWS ONLY;
SELECT TO_CHAR("o""d'd ü"."K", 'TM9') AS c0, TO_CHAR("o""d'd ü"."N", 'TM9') AS c1 FROM "SHOP"."o""d'd ü" WHERE "o""d'd ü"."K" IS NOT NULL AND "o""d'd ü"."K" >= 16.5 AND "o""d'd ü"."K" < 31.5 AND "o""d'd ü"."N" < 27 AND (1 = 1
);
SELECT TO_CHAR("o""d'd ü"."K", 'TM9'), CASE WHEN "o""d'd ü"."K" > 31.5 THEN 1 ELSE 0 END FROM "SHOP"."o""d'd ü" WHERE "o""d'd ü"."K" IS NOT NULL AND "o""d'd ü"."K" >= 31.5 AND (1 = 1
) ORDER BY "o""d'd ü"."K" OFFSET 10 ROWS FETCH NEXT 1 ROWS ONLY;
SELECT TO_CHAR("o""d'd ü"."K", 'TM9') AS c0, TO_CHAR("o""d'd ü"."N", 'TM9') AS c1 FROM "SHOP"."o""d'd ü" WHERE "o""d'd ü"."K" IS NOT NULL AND "o""d'd ü"."K" >= 31.5 AND "o""d'd ü"."N" < 27 AND (1 = 1
);
SELECT TO_CHAR("o""d'd ü"."K", 'TM9') AS c0, TO_CHAR("o""d'd ü"."N", 'TM9') AS c1 FROM "SHOP"."o""d'd ü" WHERE ("o""d'd ü"."K" IS NULL) AND "o""d'd ü"."N" < 27 AND (1 = 1
);
SELECT t.owner, t.table_name, t.column_name, t.data_type, t.data_type_owner, t.data_length, t.data_precision, t.data_scale, t.char_length, t.nullable, t.collation, c.comments FROM all_tab_cols t LEFT JOIN all_col_comments c ON c.owner = t.owner AND c.table_name = t.table_name AND c.column_name = t.column_name WHERE t.hidden_column = 'NO' AND t.owner = 'SHOP' AND t.table_name = 'BOTH' ORDER BY t.owner, t.table_name, t.column_id;
SELECT count(*) FROM (SELECT 1 AS one FROM "SHOP"."BOTH" FETCH FIRST 100001 ROWS ONLY) counted;
SELECT num_rows, avg_row_len FROM all_tables t WHERE t.owner = 'SHOP' AND t.table_name = 'BOTH';
SELECT TO_CHAR("BOTH"."A", 'TM9'), RAWTOHEX("BOTH"."B") FROM "SHOP"."BOTH" WHERE "BOTH"."A" IS NOT NULL AND "BOTH"."B" IS NOT NULL ORDER BY "BOTH"."A", "BOTH"."B" FETCH FIRST 1 ROWS ONLY;
SELECT TO_CHAR(k0, 'TM9'), RAWTOHEX(k1) FROM (SELECT DISTINCT k0, k1 FROM (SELECT "BOTH"."A" AS k0, "BOTH"."B" AS k1, row_number() OVER (ORDER BY "BOTH"."A", "BOTH"."B") AS place FROM "SHOP"."BOTH" WHERE "BOTH"."A" IS NOT NULL AND "BOTH"."B" IS NOT NULL AND ("BOTH"."A" >= 0 AND (("BOTH"."A" > 0) OR ("BOTH"."A" = 0 AND "BOTH"."B" >= HEXTORAW('00000002'))))) ranked WHERE MOD(place, 10) = 1 AND (k0 >= 0 AND ((k0 > 0) OR (k0 = 0 AND k1 > HEXTORAW('00000002'))))) cuts ORDER BY k0, k1;
SELECT TO_CHAR("BOTH"."A", 'TM9'), RAWTOHEX("BOTH"."B") FROM "SHOP"."BOTH" WHERE "BOTH"."A" IS NOT NULL AND "BOTH"."B" IS NOT NULL AND ("BOTH"."A" <= 0 AND (("BOTH"."A" < 0) OR ("BOTH"."A" = 0 AND "BOTH"."B" < HEXTORAW('00000016')))) ORDER BY "BOTH"."A", "BOTH"."B" FETCH FIRST 1 ROWS ONLY;
SELECT TO_CHAR("BOTH"."A", 'TM9'), RAWTOHEX("BOTH"."B"), CASE WHEN ("BOTH"."A" >= 0 AND (("BOTH"."A" > 0) OR ("BOTH"."A" = 0 AND "BOTH"."B" > HEXTORAW('00000002')))) THEN 1 ELSE 0 END FROM "SHOP"."BOTH" WHERE "BOTH"."A" IS NOT NULL AND "BOTH"."B" IS NOT NULL AND ("BOTH"."A" >= 0 AND (("BOTH"."A" > 0) OR ("BOTH"."A" = 0 AND "BOTH"."B" >= HEXTORAW('00000002')))) AND ("BOTH"."A" <= 0 AND (("BOTH"."A" < 0) OR ("BOTH"."A" = 0 AND "BOTH"."B" < HEXTORAW('00000016')))) ORDER BY "BOTH"."A", "BOTH"."B" OFFSET 10240 ROWS FETCH NEXT 1 ROWS ONLY;
SELECT TO_CHAR("BOTH"."A", 'TM9') AS c0, "BOTH"."B" AS c1 FROM "SHOP"."BOTH" WHERE "BOTH"."A" IS NOT NULL AND "BOTH"."B" IS NOT NULL AND ("BOTH"."A" <= 0 AND (("BOTH"."A" < 0) OR ("BOTH"."A" = 0 AND "BOTH"."B" < HEXTORAW('00000016'))));
SELECT TO_CHAR("BOTH"."A", 'TM9'), RAWTOHEX("BOTH"."B"), CASE WHEN ("BOTH"."A" >= 0 AND (("BOTH"."A" > 0) OR ("BOTH"."A" = 0 AND "BOTH"."B" > HEXTORAW('00000016')))) THEN 1 ELSE 0 END FROM "SHOP"."BOTH" WHERE "BOTH"."A" IS NOT NULL AND "BOTH"."B" IS NOT NULL AND ("BOTH"."A" >= 0 AND (("BOTH"."A" > 0) OR ("BOTH"."A" = 0 AND "BOTH"."B" >= HEXTORAW('00000016')))) AND ("BOTH"."A" <= 1 AND (("BOTH"."A" < 1) OR ("BOTH"."A" = 1 AND "BOTH"."B" < HEXTORAW('0000000b')))) ORDER BY "BOTH"."A", "BOTH"."B" OFFSET 10240 ROWS FETCH NEXT 1 ROWS ONLY;
SELECT TO_CHAR("BOTH"."A", 'TM9') AS c0, "BOTH"."B" AS c1 FROM "SHOP"."BOTH" WHERE "BOTH"."A" IS NOT NULL AND "BOTH"."B" IS NOT NULL AND ("BOTH"."A" >= 0 AND (("BOTH"."A" > 0) OR ("BOTH"."A" = 0 AND "BOTH"."B" >= HEXTORAW('00000016')))) AND ("BOTH"."A" <= 1 AND (("BOTH"."A" < 1) OR ("BOTH"."A" = 1 AND "BOTH"."B" < HEXTORAW('0000000b'))));
SELECT TO_CHAR("BOTH"."A", 'TM9'), RAWTOHEX("BOTH"."B"), CASE WHEN ("BOTH"."A" >= 1 AND (("BOTH"."A" > 1) OR ("BOTH"."A" = 1 AND "BOTH"."B" > HEXTORAW('0000000b')))) THEN 1 ELSE 0 END FROM "SHOP"."BOTH" WHERE "BOTH"."A" IS NOT NULL AND "BOTH"."B" IS NOT NULL AND ("BOTH"."A" >= 1 AND (("BOTH"."A" > 1) OR ("BOTH"."A" = 1 AND "BOTH"."B" >= HEXTORAW('0000000b')))) ORDER BY "BOTH"."A", "BOTH"."B" OFFSET 10240 ROWS FETCH NEXT 1 ROWS ONLY;
SELECT TO_CHAR("BOTH"."A", 'TM9') AS c0, "BOTH"."B" AS c1 FROM "SHOP"."BOTH" WHERE "BOTH"."A" IS NOT NULL AND "BOTH"."B" IS NOT NULL AND ("BOTH"."A" >= 1 AND (("BOTH"."A" > 1) OR ("BOTH"."A" = 1 AND "BOTH"."B" >= HEXTORAW('0000000b'))));
SELECT TO_CHAR("BOTH"."A", 'TM9') AS c0, "BOTH"."B" AS c1 FROM "SHOP"."BOTH" WHERE ("BOTH"."A" IS NULL OR "BOTH"."B" IS NULL);
