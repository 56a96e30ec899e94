-- A form that is sent twice plans once: the print of the form and of what stood in it. Plans made elsewhere have none.
alter table outboxd.bulk_redrive add column form uuid constraint bulk_redrive_one_plan_a_form unique;
